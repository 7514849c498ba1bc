"""The archived project's calls give what this library gives, under the old names."""

import math

import numpy as np
import pytest
import torch

import fast3r
from fast3r.compat import (
    align_local_pts3d_to_global,
    estimate_camera_poses,
    inference,
    load_images,
)
from fast3r.geometry.cameras import pinhole, unproject
from fast3r.geometry.transforms import rotation_exp
from fast3r.models.fast3r import Fast3R

PHOTOS = [f"examples/photos/buddha/{name}.jpg" for name in ("00006", "00007", "00010")]
FOCAL_PX, HEIGHT, WIDTH = 70.0, 48, 64


@pytest.fixture(scope="module")
def model() -> Fast3R:
    return fast3r.load_model("small", device="cpu")


def exact_predictions(views: int) -> tuple[list[dict], torch.Tensor]:
    """Return noiseless predictions of a batch of one, and the true poses."""
    generator = torch.Generator().manual_seed(0)
    turns = 0.2 * torch.randn(views, 3, generator=generator, dtype=torch.float64)
    poses = torch.eye(4, dtype=torch.float64).repeat(views, 1, 1)
    poses[:, :3, :3] = rotation_exp(turns)
    poses[:, :3, 3] = torch.randn(views, 3, generator=generator, dtype=torch.float64)
    poses[0] = torch.eye(4)
    depth = 3 + torch.rand(views, HEIGHT, WIDTH, generator=generator)
    intrinsics = pinhole(torch.full((views,), FOCAL_PX), HEIGHT, WIDTH)
    local = unproject(depth, intrinsics)
    world = unproject(depth, intrinsics, poses.float())
    conf = torch.full((1, HEIGHT, WIDTH), 3.0)
    preds = [
        {
            "pts3d_in_other_view": world[i : i + 1],
            "conf": conf,
            "pts3d_local": local[i : i + 1] / (i + 1),
            "conf_local": conf,
        }
        for i in range(views)
    ]
    return preds, poses


def test_views_look_as_they_did(model):
    views = load_images(PHOTOS, size=64, patch_size=model.patch)
    assert [view["idx"] for view in views] == [0, 1, 2]
    assert views[0]["img"].shape[:2] == (1, 3)
    assert views[0]["true_shape"].tolist() == [list(views[0]["img"].shape[2:])]
    assert -1 <= views[0]["img"].min() < -0.2
    assert 0.2 < views[0]["img"].max() <= 1


def test_inference_gives_the_pointmaps_of_the_model(model):
    views = load_images(PHOTOS, size=64, patch_size=model.patch)
    preds = inference(views, model, "cpu")["preds"]
    direct = model([(view["img"] + 1) / 2 for view in views], seed=0)
    for pred, expected in zip(preds, direct, strict=True):
        torch.testing.assert_close(pred["pts3d_in_other_view"], expected.world.points.detach())
        torch.testing.assert_close(pred["conf_local"], expected.local.confidence.detach())


def test_half_precision_has_to_be_one_that_is_exact_enough(model):
    views = load_images(PHOTOS, size=64, patch_size=model.patch)
    with pytest.raises(ValueError, match=r"torch\.float32 or torch\.bfloat16, got torch\.float16"):
        inference(views, model, "cpu", torch.float16)


@pytest.mark.parametrize(
    "method", ["first_view_from_global_head", "first_view_from_local_head", "individual"]
)
def test_exact_pointmaps_give_their_cameras(method):
    preds, truth = exact_predictions(3)
    poses, focals = estimate_camera_poses(preds, focal_length_estimation_method=method)
    np.testing.assert_allclose(np.stack(poses[0]), truth.numpy(), atol=1e-3)
    assert all(math.isclose(focal, FOCAL_PX, rel_tol=1e-3) for focal in focals[0])


def test_a_view_without_structure_has_no_pose():
    preds, _ = exact_predictions(2)
    noise = torch.Generator().manual_seed(1)
    preds[1]["pts3d_in_other_view"] = torch.randn(1, HEIGHT, WIDTH, 3, generator=noise)
    poses, _ = estimate_camera_poses(preds)
    assert poses[0][0] is not None
    assert poses[0][1] is None


def test_masked_pixels_do_not_count():
    preds, truth = exact_predictions(2)
    mask = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    mask[:, :, : WIDTH // 2] = True
    preds[1]["pts3d_in_other_view"][:, :, WIDTH // 2 :] = 0.0
    poses, _ = estimate_camera_poses(preds, [{}, {"valid_mask": mask}])
    np.testing.assert_allclose(poses[0][1], truth[1].numpy(), atol=1e-3)


def test_local_points_are_brought_into_the_world():
    preds, _ = exact_predictions(3)
    align_local_pts3d_to_global(preds)
    for pred in preds:
        torch.testing.assert_close(
            pred["pts3d_local_aligned_to_global"], pred["pts3d_in_other_view"], atol=1e-3, rtol=0
        )


def test_an_unknown_way_to_find_the_focal_length_is_refused():
    preds, _ = exact_predictions(2)
    unchecked = getattr(estimate_camera_poses, "__wrapped__", estimate_camera_poses)
    with pytest.raises(ValueError, match="individual, got 'median'"):
        unchecked(preds, focal_length_estimation_method="median")
