"""Cameras from pointmaps that were made from known cameras."""

from dataclasses import replace

import pytest
import torch

from fast3r.geometry.cameras import pixel_grid
from fast3r.geometry.poses import solve_poses
from fast3r.geometry.transforms import rotation_angle_deg
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.cameras import RecoveredCameras, recover_cameras
from tests.scene.playback import Truth, a_view, nonsense, predicted


def mixed_set() -> list[Truth]:
    """Return photos of three cameras: lying, upright, cropped, and one so narrow it is padded."""
    return [
        a_view(0, 480, 640, 560.0),
        a_view(1, 640, 480, 560.0),
        a_view(2, 1000, 777, 900.0),
        a_view(3, 300, 1600, 1200.0),
    ]


def recovered(truths: list[Truth], **errors: float) -> RecoveredCameras:
    return recover_cameras([predicted(t, **errors) for t in truths], [t.view for t in truths])


def assert_close_to_truth(
    found: RecoveredCameras, truths: list[Truth], *, rotation_deg: float, focal: float, place: float
) -> None:
    assert found.failures == [None] * len(truths)
    for camera, truth in zip(found.cameras, truths, strict=True):
        pose = truth.world_from_camera
        turned = rotation_angle_deg(camera.world_from_camera[:3, :3], pose[:3, :3])
        assert turned < rotation_deg
        assert (camera.world_from_camera[:3, 3] - pose[:3, 3]).norm() < place
        assert abs(camera.intrinsics[0, 0] / truth.focal_px - 1) < focal
        assert (camera.height, camera.width) == (
            truth.view.original_height,
            truth.view.original_width,
        )


def test_perfect_pointmaps_give_the_cameras_that_made_them() -> None:
    truths = mixed_set()
    found = recovered(truths)
    assert_close_to_truth(found, truths, rotation_deg=0.05, focal=0.005, place=0.005)


def test_noise_and_a_third_of_outliers_move_the_cameras_little() -> None:
    truths = mixed_set()
    found = recovered(truths, noise=0.02, outliers=0.3)
    assert_close_to_truth(found, truths, rotation_deg=0.5, focal=0.02, place=0.05)


def test_the_optical_axis_meets_the_centre_of_the_original_photo() -> None:
    truths = mixed_set()
    for camera, truth in zip(recovered(truths).cameras, truths, strict=True):
        centre = [truth.view.original_width / 2, truth.view.original_height / 2]
        assert camera.intrinsics[:2, 2].tolist() == centre
        assert camera.intrinsics[0, 0] == camera.intrinsics[1, 1]


def test_a_crop_off_the_centre_leaves_the_principal_point_where_it_was() -> None:
    truth = a_view(0, 480, 640, 560.0)
    shifted = truth.view.original_from_network.clone()
    shifted[:2, 2] += torch.tensor([40.0, -25.0])
    truth = replace(truth, view=replace(truth.view, original_from_network=shifted))
    found = recovered([truth])
    assert_close_to_truth(found, [truth], rotation_deg=0.05, focal=0.005, place=0.005)


def test_network_pixels_that_are_not_square_in_the_photo_give_a_square_camera() -> None:
    truth = a_view(0, 480, 640, 560.0)
    stretched = truth.view.original_from_network * torch.tensor([[1.1, 1, 1], [1, 1, 1], [1, 1, 1]])
    truth = replace(truth, view=replace(truth.view, original_from_network=stretched))
    found = recovered([truth])
    assert_close_to_truth(found, [truth], rotation_deg=0.05, focal=0.005, place=0.005)


def test_depth_is_that_of_the_world_whatever_the_unit_of_the_local_pointmap() -> None:
    truths = mixed_set()
    for depth, truth in zip(recovered(truths).depth, truths, strict=True):
        seen = slice(None) if truth.view.mask is None else truth.view.mask
        torch.testing.assert_close(depth[seen], truth.depth[seen], rtol=2e-3, atol=0)


def test_depth_scale_survives_outliers() -> None:
    truth = a_view(0, 480, 640, 560.0)
    found = recovered([truth], noise=0.01, outliers=0.3)
    assert (found.depth[0] / truth.depth).median() == pytest.approx(1, abs=0.005)


def test_without_local_pointmaps_depth_is_that_of_the_world_points() -> None:
    truth = replace(a_view(0, 480, 640, 560.0), world_from_camera=torch.eye(4))
    second = a_view(1, 480, 640, 560.0)
    views = [truth.view, second.view]
    found = recover_cameras([predicted(t, local=False) for t in (truth, second)], views)
    assert_close_to_truth(found, [truth, second], rotation_deg=0.05, focal=0.005, place=0.005)
    torch.testing.assert_close(found.depth[1], second.depth, rtol=2e-3, atol=0)


def test_a_view_of_nonsense_has_no_camera_but_a_reason_with_figures() -> None:
    truths = [a_view(seed, 480, 640, 560.0) for seed in range(3)]
    views = [truth.view for truth in truths]
    predictions = [predicted(truths[0]), nonsense(views[1]), predicted(truths[2])]
    found = recover_cameras(predictions, views)
    assert found.cameras[0] is not None
    assert found.cameras[1] is None
    assert found.cameras[2] is not None
    reason = found.failures[1]
    assert "of them land within 4.5 px of their pixels (median" in reason
    assert not found.depth[1].any()


def test_a_view_of_nonsense_does_not_move_the_shared_focal_length() -> None:
    truths = [a_view(seed, 480, 640, 560.0) for seed in range(4)]
    views = [truth.view for truth in truths]
    predictions = [*(predicted(truth) for truth in truths[:3]), nonsense(views[3])]
    camera = recover_cameras(predictions, views).cameras[0]
    assert camera.intrinsics[0, 0] == pytest.approx(560, rel=0.005)


def test_a_view_that_its_mask_leaves_nothing_of_has_no_camera() -> None:
    truth = a_view(0, 480, 640, 560.0)
    view = replace(truth.view, mask=torch.zeros(truth.view.height, truth.view.width) > 0)
    found = recover_cameras([predicted(truth)], [view])
    assert found.failures == ["its mask leaves nothing of it"]


def test_a_row_of_points_does_not_determine_a_pose() -> None:
    truth = a_view(0, 480, 640, 560.0)
    mask = torch.zeros(truth.view.height, truth.view.width, dtype=torch.bool)
    mask[20] = True
    truth = replace(truth, depth=torch.full_like(truth.depth, 2.0))
    found = recover_cameras([predicted(truth)], [replace(truth.view, mask=mask)])
    assert found.cameras == [None]
    assert "its points do not determine a pose, although" in str(found.failures[0])


def test_points_that_are_not_finite_give_no_camera() -> None:
    truth = a_view(0, 480, 640, 560.0)
    good = predicted(truth)
    bad = Pointmap(torch.full_like(good.world.points, torch.nan), good.world.confidence)
    found = recover_cameras([Prediction(bad, bad)], [truth.view])
    assert found.cameras == [None]


def test_a_flat_wall_has_a_camera() -> None:
    truth = a_view(0, 480, 640, 560.0)
    truth = replace(truth, depth=torch.full_like(truth.depth, 2.0))
    found = recovered([truth], noise=0.002)
    assert_close_to_truth(found, [truth], rotation_deg=0.5, focal=0.02, place=0.03)


def test_where_pnp_gives_up_the_two_pointmaps_still_tell_the_pose() -> None:
    truth = a_view(0, 480, 640, 560.0)
    random = torch.Generator().manual_seed(5)
    clean = predicted(truth, outliers=0.5)
    coarse = 0.2 * torch.randn(1, 3, 16, 16, generator=random)
    error = torch.nn.functional.interpolate(coarse, truth.depth.shape, mode="bicubic")
    world = replace(clean.world, points=clean.world.points + error.permute(0, 2, 3, 1))
    pnp = solve_poses(
        world.points.flatten(1, 2),
        pixel_grid(truth.view.height, truth.view.width).flatten(0, 1)[None],
        truth.intrinsics[None],
        max_reprojection_px=4.5,
    )
    assert not pnp.registered.any()
    found = recover_cameras([Prediction(world, clean.local)], [truth.view])
    assert_close_to_truth(found, [truth], rotation_deg=3, focal=0.005, place=0.2)


def focal_lengths(truths: list[Truth], share: str) -> list[float]:
    found = recover_cameras(
        [predicted(truth, noise=0.05) for truth in truths],
        [truth.view for truth in truths],
        share_focal=share,
    )
    return [camera.intrinsics[0, 0].item() for camera in found.cameras if camera is not None]


def test_photos_of_one_camera_share_their_focal_length_also_upright() -> None:
    truths = [a_view(0, 480, 640, 560.0), a_view(1, 640, 480, 560.0), a_view(2, 480, 640, 560.0)]
    first, *others = focal_lengths(truths, "camera")
    assert others == [first, first]


def test_photos_of_two_cameras_of_one_size_keep_their_focal_lengths() -> None:
    truths = [
        a_view(0, 480, 640, 500.0, camera_key="a"),
        a_view(1, 480, 640, 700.0, camera_key="b"),
    ]
    assert focal_lengths(truths, "camera") == pytest.approx([500, 700], rel=0.03)


def test_sharing_none_keeps_each_focal_length() -> None:
    truths = [a_view(0, 480, 640, 500.0), a_view(1, 480, 640, 700.0)]
    assert focal_lengths(truths, "none") == pytest.approx([500, 700], rel=0.03)


def test_sharing_all_means_one_angle_of_view_for_photos_of_all_sizes() -> None:
    truths = [a_view(0, 480, 640, 600.0), a_view(1, 960, 1280, 1200.0)]
    small, large = focal_lengths(truths, "all")
    assert large == pytest.approx(2 * small)


def test_the_reference_recipe_finds_the_same_cameras_but_for_its_half_pixel() -> None:
    truths = [a_view(seed, 480, 640, 560.0) for seed in range(2)]
    found = recover_cameras(
        [predicted(truth) for truth in truths],
        [truth.view for truth in truths],
        pose_recipe="reference",
    )
    assert_close_to_truth(found, truths, rotation_deg=0.6, focal=0.005, place=0.01)


def test_the_result_does_not_depend_on_the_other_views() -> None:
    truths = mixed_set()
    together = recovered(truths).cameras[2]
    alone = recovered([truths[2]]).cameras[0]
    torch.testing.assert_close(together.world_from_camera, alone.world_from_camera)


def test_without_any_focal_length_there_is_no_camera() -> None:
    truth = a_view(0, 480, 640, 560.0)
    seen = predicted(truth)
    # Half a turn about the axis still agrees with the world, but no lens turns its picture so.
    turned = seen.local.points * torch.tensor([-1.0, -1.0, 1.0])
    upside_down = Prediction(seen.world, Pointmap(turned, seen.local.confidence))
    found = recover_cameras([upside_down], [truth.view])
    assert found.cameras == [None]
    reason = "no focal length explains the points of this or any other view"
    assert found.failures == [reason]
