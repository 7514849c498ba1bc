"""What users know decides about unit and cameras of a scene, and is told where it cannot."""

from dataclasses import replace

import pytest
import torch

from fast3r.geometry.transforms import Similarity, rotation_exp
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.priors.types import DepthMaps, Distance, Intrinsics, Poses, Priors, Rig, Spot
from fast3r.scene.reconstruction import Scale, World
from fast3r.scene.run import reconstruct
from tests.scene.known_scenes import (
    METRES_PER_UNIT,
    TRUE_FROM_NETWORK,
    assert_poses,
    disagreeing,
    in_world,
    metres_between,
    pose_of,
    run,
    views,
)
from tests.scene.playback import PlayedBack, Truth, predicted


def distances(truths: list[Truth], *factors: float) -> tuple[Distance, ...]:
    """Return what somebody measured between cameras, each off by a factor."""
    pairs = ((0, 1), (1, 2), (2, 3))[: len(factors)]
    return tuple(
        Distance(factor * metres_between(truths[i], truths[j]), (f"{i}.jpg", f"{j}.jpg"))
        for factor, (i, j) in zip(factors, pairs, strict=True)
    )


def test_no_priors_leave_the_scene_as_it_is() -> None:
    truths = views(2)
    plain, empty = run(truths, None), run(truths, Priors())
    assert empty.scale == Scale()
    assert empty.world == World()
    assert torch.equal(plain.depth[0], empty.depth[0])
    assert torch.equal(pose_of(plain, 1), pose_of(empty, 1))


def test_three_distances_make_the_scale_metric() -> None:
    truths = views()
    scene = run(truths, Priors(distances=distances(truths, 1, 1, 1)))
    assert scene.scale == Scale("metric", "distances")
    assert (scene.depth[0] / truths[0].depth).median() == pytest.approx(METRES_PER_UNIT, rel=2e-3)
    assert [check.status for check in scene.prior_checks] == ["agrees"] * 3


def test_a_wrong_distance_among_three_is_reported_and_changes_nothing() -> None:
    truths = views()
    wrong = run(truths, Priors(distances=distances(truths, 1, 1.5, 1)))
    right = run(truths, Priors(distances=distances(truths, 1, 1, 1)))
    assert disagreeing(wrong) == ["distance from the camera of 1.jpg to the camera of 2.jpg"]
    assert "longer than the scene has" in str(wrong.prior_checks[1])
    assert (wrong.depth[0] / right.depth[0]).median() == pytest.approx(1, abs=1e-3)


def test_two_distances_that_contradict_each_other_make_no_scale() -> None:
    truths = views()
    scene = run(truths, Priors(distances=distances(truths, 1, 2)))
    assert scene.scale == Scale("arbitrary", "distances contradict each other")
    assert len(disagreeing(scene)) == 2
    assert scene.prior_checks[0].residual == pytest.approx(100, abs=1)
    assert "it says 2.5 m per unit of the scene, the distance from" in str(scene.prior_checks[0])


def test_a_focal_length_far_from_that_of_the_network_is_reported() -> None:
    # What somebody gets who calibrated photos of twice the size.
    scene = run(views(2), Priors(intrinsics={"1.jpg": Intrinsics(1120.0)}))
    assert disagreeing(scene) == ["focal length of 1.jpg"]
    assert scene.prior_checks[0].residual == pytest.approx(100, abs=2)


def test_a_distance_between_points_of_the_surface_makes_the_scale_metric() -> None:
    truths = views(2)
    plain = run(truths, None)
    ends = []
    for index, pixel in ((0, (200.0, 130.0)), (1, (333.0, 250.0))):
        row, column = (round(c * 96 / 640 - 0.5) for c in reversed(pixel))
        centre = ((column + 0.5) * 640 / 96, (row + 0.5) * 640 / 96)
        ends.append((Spot(f"{index}.jpg", centre), plain.world_points(index)[row, column]))
    (first, here), (second, there) = ends
    apart = (here - there).norm().item()
    scene = run(truths, Priors(distances=(Distance(3 * apart, (first, second)),)))
    assert (scene.depth[0] / plain.depth[0]).median() == pytest.approx(3, rel=1e-3)


def test_a_distance_to_a_view_without_a_camera_is_not_used() -> None:
    truths = views()
    scene = run(truths, Priors(distances=distances(truths, 1)), lost=1)
    (check,) = scene.prior_checks
    assert check.status == "unused"
    assert "1.jpg has no camera" in str(check)
    assert scene.scale.kind == "arbitrary"


@pytest.mark.parametrize("metric", [True, False])
def test_known_poses_of_three_views_put_the_rest_in_their_world(metric: bool) -> None:
    truths = views(5)
    known = {f"{i}.jpg": in_world(truths[i]) for i in range(3)}
    scene = run(truths, Priors(poses=Poses(known, metric=metric)))
    assert_poses(scene, [in_world(truth) for truth in truths])
    assert scene.world == World("known poses")
    assert scene.scale == Scale("metric" if metric else "arbitrary", "known poses")
    assert (scene.depth[4] / truths[4].depth).median() == pytest.approx(METRES_PER_UNIT, rel=5e-3)
    for index in range(3):
        assert torch.equal(pose_of(scene, index).float(), in_world(truths[index]).float())
    assert not disagreeing(scene)


def test_one_known_pose_fixes_axes_and_place_but_not_the_scale() -> None:
    truths = views(3)
    scene = run(truths, Priors(poses=Poses({"1.jpg": in_world(truths[1])}, metric=True)))
    shifted = Similarity(
        torch.ones(()).double(), TRUE_FROM_NETWORK.rotation, torch.zeros(3).double()
    )
    turned = [in_world(t, shifted) for t in truths]
    offset = in_world(truths[1])[:3, 3] - turned[1][:3, 3]
    for pose in turned:
        pose[:3, 3] += offset
    assert_poses(scene, turned)
    assert scene.scale == Scale("arbitrary", "network")


def test_a_distance_gives_arbitrary_poses_metres() -> None:
    truths = views()
    known = {f"{i}.jpg": in_world(truths[i]) for i in range(3)}
    twice = tuple(replace(d, metres=2 * d.metres) for d in distances(truths, 1, 1))
    scene = run(truths, Priors(poses=Poses(known), distances=twice))
    assert scene.scale == Scale("metric", "distances")
    wanted = [in_world(truth) for truth in truths]
    for pose in wanted:
        pose[:3, 3] *= 2
    assert_poses(scene, wanted, place=0.02)


def test_metric_poses_keep_their_unit_and_a_distance_that_differs_is_reported() -> None:
    truths = views()
    known = {f"{i}.jpg": in_world(truths[i]) for i in range(3)}
    priors = Priors(poses=Poses(known, metric=True), distances=distances(truths, 3, 3))
    scene = run(truths, priors)
    assert_poses(scene, [in_world(truth) for truth in truths])
    assert len(disagreeing(scene)) == 2


def test_a_wrong_pose_among_known_ones_is_reported_and_leaves_the_others_in_place() -> None:
    truths = views(6)
    known = {f"{i}.jpg": in_world(truths[i]) for i in range(5)}
    wrong = known["2.jpg"].clone()
    wrong[:3, :3] = rotation_exp(torch.tensor([0.0, 1.0, 0.0]).double()) @ wrong[:3, :3]
    wrong[:3, 3] += 9
    scene = run(truths, Priors(poses=Poses({**known, "2.jpg": wrong})))
    assert disagreeing(scene) == ["position of 2.jpg", "rotation of 2.jpg"]
    wanted = [in_world(truth) for truth in truths]
    wanted[2] = wrong
    assert_poses(scene, wanted)


def test_poses_of_known_error_are_met_halfway() -> None:
    truths = views()
    known = {f"{i}.jpg": in_world(truths[i]) for i in range(4)}
    known["0.jpg"] = known["0.jpg"].clone()
    known["0.jpg"][0, 3] += 0.3
    exact = run(truths, Priors(poses=Poses(known)))
    loose = run(truths, Priors(poses=Poses(known, position_sigma=1.0)))
    true = in_world(truths[0])[:3, 3]
    off = [(pose_of(scene, 0)[:3, 3] - true).norm().item() for scene in (exact, loose)]
    assert off[0] == pytest.approx(0.3, abs=1e-4)
    assert off[1] < 0.2


def test_a_view_that_the_network_lost_stands_where_it_is_known_to() -> None:
    truths = views()
    known = {f"{i}.jpg": in_world(truths[i]) for i in range(4)}
    scene = run(truths, Priors(poses=Poses(known)), lost=2)
    assert scene.registered == [0, 1, 2, 3]
    assert_poses(scene, [in_world(truth) for truth in truths])
    # Its points are nonsense, and nothing of them is shown.
    assert not scene.depth[2].any()
    assert len(scene.point_cloud()) > 0


def test_poses_of_views_that_are_all_lost_are_not_used() -> None:
    truths = views()
    scene = run(truths, Priors(poses=Poses({"1.jpg": in_world(truths[1])})), lost=1)
    assert scene.world == World()
    assert scene.prior_checks[0].status == "unused"


def biased(truth: Truth, factor: float) -> Prediction:
    """Return what a network says that takes the lens for a longer one."""
    right = predicted(truth)
    assert right.local is not None
    stretched = right.local.points * torch.tensor([1 / factor, 1 / factor, 1])
    return Prediction(right.world, Pointmap(stretched, right.local.confidence))


def test_known_intrinsics_take_away_a_bias_of_the_focal_length() -> None:
    truths = views()
    network = PlayedBack([biased(t, 1.2) for t in truths])
    photos = [t.view for t in truths]
    plain = reconstruct(photos, network)
    known = reconstruct(photos, network, priors=Priors(intrinsics={"*": Intrinsics(560.0)}))
    assert plain.cameras[0] is not None
    assert plain.cameras[0].intrinsics[0, 0] == pytest.approx(1.2 * 560, rel=0.01)
    assert_poses(known, [t.world_from_camera.double() for t in truths])
    for camera in known.cameras:
        assert camera is not None
        assert camera.intrinsics[0, 0] == camera.intrinsics[1, 1] == 560


def test_known_intrinsics_are_kept_to_the_last_digit() -> None:
    truths = views(2)
    known = Intrinsics((561.0, 559.0), (322.0, 237.5))
    scene = run(truths, Priors(intrinsics={"1.jpg": known}))
    camera = scene.camera(1)
    assert camera.intrinsics.tolist() == [[561, 0, 322], [0, 559, 237.5], [0, 0, 1]]


def test_views_of_one_camera_take_the_focal_length_that_is_known_of_some() -> None:
    truths = views()
    network = PlayedBack([biased(t, 1.2) for t in truths])
    priors = Priors(intrinsics={"1.jpg": Intrinsics(560.0)})
    scene = reconstruct([t.view for t in truths], network, priors=priors)
    focals = [c.intrinsics[0, 0].item() for c in scene.cameras if c is not None]
    assert focals == pytest.approx([560] * 4)


def test_the_focal_length_of_exif_is_used_on_request() -> None:
    truths = views(2)
    truths = [replace(t, view=replace(t.view, exif_focal_px=600.0)) for t in truths]
    scene = run(truths, Priors(intrinsics="exif"))
    assert scene.cameras[0] is not None
    assert scene.cameras[0].intrinsics[0, 0] == 600


def test_depth_maps_make_the_scale_metric() -> None:
    truths = views(3)
    # A sensor of few pixels, which sees one half of one photo.
    measured = METRES_PER_UNIT * truths[1].depth[::2, ::2].clone()
    measured[:, :24] = 0
    scene = run(truths, Priors(depth=DepthMaps({"1.jpg": measured})))
    assert scene.scale == Scale("metric", "depth maps")
    assert (scene.depth[0] / truths[0].depth).median() == pytest.approx(METRES_PER_UNIT, rel=0.01)


def test_depth_maps_and_distances_that_contradict_each_other_are_reported() -> None:
    truths = views()
    depth = DepthMaps({"1.jpg": 2 * METRES_PER_UNIT * truths[1].depth})
    scene = run(truths, Priors(depth=depth, distances=distances(truths, 1, 1)))
    assert disagreeing(scene) == ["depth map of 1.jpg"]
    assert scene.scale == Scale("metric", "distances")


def a_rig(truths: list[Truth]) -> Rig:
    """Return views 0, 1 and 2, 3 as two frames of a pair of cameras, in metres."""
    first = torch.linalg.inv(truths[0].world_from_camera.double())
    left_from_right = first @ truths[1].world_from_camera.double()
    left_from_right[:3, 3] *= METRES_PER_UNIT
    frames = [{"left": "0.jpg", "right": "1.jpg"}, {"left": "2.jpg", "right": "3.jpg"}]
    return Rig({"left": torch.eye(4), "right": left_from_right}, frames)


def rigged() -> list[Truth]:
    truths = views()
    relative = torch.linalg.inv(truths[0].world_from_camera) @ truths[1].world_from_camera
    truths[3] = replace(truths[3], world_from_camera=truths[2].world_from_camera @ relative)
    return truths


def test_a_rig_makes_the_scale_metric_and_its_frames_rigid() -> None:
    truths = rigged()
    nudged = truths[3].world_from_camera.clone()
    nudged[:3, 3] += torch.tensor([0.03, -0.02, 0.04])
    scene = run(
        [*truths[:3], replace(truths[3], world_from_camera=nudged)], Priors(rigs=(a_rig(truths),))
    )
    assert scene.scale == Scale("metric", "rigs")
    wanted = a_rig(truths).rig_from_camera["right"]
    for left, right in ((0, 1), (2, 3)):
        relative = torch.linalg.inv(pose_of(scene, left)) @ pose_of(scene, right)
        torch.testing.assert_close(relative, wanted, rtol=0, atol=1e-5)
    assert not disagreeing(scene)


def test_a_rig_places_a_camera_that_the_network_lost() -> None:
    truths = rigged()
    scene = run(truths, Priors(rigs=(a_rig(truths),)), lost=3)
    assert scene.registered == [0, 1, 2, 3]
    wanted = [t.world_from_camera.double().clone() for t in truths]
    for pose in wanted:
        pose[:3, 3] *= METRES_PER_UNIT
    assert_poses(scene, wanted, place=0.02)


def test_a_rig_that_is_not_rigid_is_reported() -> None:
    truths = views()
    scene = run(truths, Priors(rigs=(a_rig(truths),)))
    assert "rotations of rig 1" in disagreeing(scene)
