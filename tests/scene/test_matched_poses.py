"""Views find their places by matches, whatever their pointmaps say of the world."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import fast3r.scene.matched_poses as matched_poses
from fast3r.geometry.cameras import invert_rigid, pinhole, project, unproject
from fast3r.geometry.transforms import rotation_angle_deg, rotation_exp
from fast3r.models.matching import FEATURES
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.cameras import RecoveredCameras, recover_cameras
from tests.scene.playback import Truth, a_view

PATCH = 8
CODE, PLACE = 64, 16
"""Channels that say what a patch shows, and for each of four vectors of places."""


def a_row(count: int, zoom: float = 1.0, *, turn: float = -0.15) -> list[Truth]:
    """Views from a row of places inside a sphere, turned towards its middle."""
    truths = []
    for index in range(count):
        side = (index - count / 2) * 0.4
        truth = a_view(index, 480, 640, 560.0 * zoom)
        pose = torch.eye(4)
        pose[:3, :3] = rotation_exp(torch.tensor([0.0, turn * side, 0.05 * side]))
        pose[0, 3] = side
        size = (truth.view.height, truth.view.width)
        rays = unproject(torch.ones(size), truth.intrinsics, pose) - pose[:3, 3]
        along, square = rays @ pose[:3, 3], rays.square().sum(dim=-1)
        outside = pose[:3, 3].square().sum() - 4**2
        depth = (-along + (along.square() - square * outside).sqrt()) / square
        truths.append(replace(truth, world_from_camera=pose, depth=depth))
    return truths


def code_of(points: Tensor) -> Tensor:
    """Unit vectors that are alike where points are near each other."""
    random = torch.Generator().manual_seed(0)
    waves = 4.0 * torch.randn(3, CODE // 2, generator=random)
    phase = points @ waves
    return F.normalize(torch.cat((phase.cos(), phase.sin()), dim=-1), dim=-1)


def place_features(truth: Truth, middle: Tensor) -> Tensor:
    """Where a point is inside a patch: to first order the product of the point and the patch."""
    camera = invert_rigid(truth.world_from_camera)
    x, y, z = (middle @ camera[:3, :3].mT + camera[:3, 3]).unbind(-1)
    zero = torch.zeros_like(z)
    by_ray = torch.stack((1 / z, zero, -x / z**2, zero, 1 / z, -y / z**2), dim=-1)
    by_point = truth.intrinsics[:2, :2] @ by_ray.unflatten(-1, (2, 3)) @ camera[:3, :3] / PATCH
    at_zero = -by_point @ middle[..., None]
    features = torch.zeros(len(middle), 2, 2, PLACE)
    features[:, 0, :, :3], features[:, 0, :, 3] = middle[:, None], 1
    features[:, 1, :, :4] = PLACE**0.5 * torch.cat((by_point, at_zero), dim=-1)
    return features.flatten(1)


def seen(truth: Truth, *, world: Tensor | None = None, told: float = 1.0) -> Prediction:
    """What a network predicts that knows which patches match, and perhaps nothing of the world.

    It believes the focal length to be `told` times the true one.
    """
    believed = truth.intrinsics @ torch.diag(torch.tensor([told, told, 1.0]))
    points = unproject(truth.depth, believed)
    sure = torch.ones_like(truth.depth)
    where = unproject(truth.depth, truth.intrinsics, truth.world_from_camera)
    middle = where[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH].flatten(0, 1)
    features = torch.zeros(len(middle), FEATURES)
    features[:, :CODE] = code_of(middle)
    features[:, CODE:] = place_features(truth, middle)
    return Prediction(
        Pointmap((where if world is None else world)[None], sure[None]),
        Pointmap(points[None] / truth.local_unit, sure[None]),
        features[None],
    )


def relative_errors(found: RecoveredCameras, truths: Sequence[Truth]) -> tuple[Tensor, Tensor]:
    """Errors in degrees: of rotations, and of directions from the first view to the others."""
    cameras = [camera for camera in found.cameras if camera is not None]
    assert len(cameras) == len(truths)
    poses = torch.stack([camera.world_from_camera for camera in cameras])
    true = torch.stack([truth.world_from_camera for truth in truths])
    relative, wanted = invert_rigid(poses[:1]) @ poses, invert_rigid(true[:1]) @ true
    turns = rotation_angle_deg(relative[1:, :3, :3], wanted[1:, :3, :3])
    ways = F.cosine_similarity(relative[1:, :3, 3], wanted[1:, :3, 3])
    return turns, torch.rad2deg(ways.clamp(-1, 1).acos())


def nowhere(truth: Truth) -> Tensor:
    random = torch.Generator().manual_seed(truth.view.height)
    return torch.randn(*truth.depth.shape, 3, generator=random)


@pytest.mark.parametrize("together", [96, 4])
def test_views_whose_world_points_are_nonsense_find_their_places(monkeypatch, together) -> None:
    monkeypatch.setattr(matched_poses, "_MOST_TOGETHER", together)
    truths = a_row(6)
    views = [truth.view for truth in truths]
    predictions = [seen(truths[0]), *(seen(t, world=nowhere(t)) for t in truths[1:])]
    by_pointmaps = recover_cameras(predictions, views, pose_recipe="pointmaps")
    assert sum(camera is not None for camera in by_pointmaps.cameras) <= 1
    found = recover_cameras(predictions, views)
    turns, ways = relative_errors(found, truths)
    assert turns.max() < 0.5
    assert ways.max() < 2
    assert found.failures == [None] * 6


def test_depth_is_in_units_of_the_world_that_matches_made() -> None:
    truths = a_row(4)
    views = [truth.view for truth in truths]
    found = recover_cameras([seen(t) for t in truths], views)
    for truth, depth in zip(truths, found.depth, strict=True):
        assert (depth / truth.depth).median() == pytest.approx(1, abs=0.15)
        shape = depth / truth.depth
        assert shape.std() / shape.mean() < 0.01


def test_without_any_match_views_stay_where_pointmaps_put_them() -> None:
    truths = a_row(3)
    views = [truth.view for truth in truths]
    lonely = []
    for index, truth in enumerate(truths):
        prediction = seen(truth)
        random = torch.Generator().manual_seed(index)
        assert prediction.patches is not None
        noise = torch.randn(prediction.patches.shape, generator=random)
        lonely.append(replace(prediction, patches=noise))
    found = recover_cameras(lonely, views)
    wanted = recover_cameras(lonely, views, pose_recipe="pointmaps")
    for camera, other in zip(found.cameras, wanted.cameras, strict=True):
        assert camera is not None
        assert other is not None
        assert torch.equal(camera.world_from_camera, other.world_from_camera)


def test_views_tied_to_each_other_but_to_no_place_have_no_camera() -> None:
    truths = a_row(4)
    views = [truth.view for truth in truths]
    predictions = [seen(truths[0]), *(seen(t, world=nowhere(t)) for t in truths[1:])]
    assert predictions[0].patches is not None
    alone = torch.randn(predictions[0].patches.shape, generator=torch.Generator().manual_seed(0))
    predictions[0] = replace(predictions[0], patches=alone)
    found = recover_cameras(predictions, views)
    assert found.cameras[0] is not None
    assert found.cameras[1:] == [None] * 3
    assert all(found.failures[1:])


def test_masked_patches_match_nothing() -> None:
    truths = a_row(3)
    hidden = torch.zeros(truths[1].depth.shape, dtype=torch.bool)
    views = [truths[0].view, replace(truths[1].view, mask=hidden), truths[2].view]
    found = recover_cameras([seen(truth) for truth in truths], views)
    assert found.cameras[1] is None
    assert found.failures[1] == "its mask leaves nothing of it"
    assert found.cameras[0] is not None
    assert found.cameras[2] is not None


def test_the_views_of_these_tests_see_one_surface() -> None:
    """The sphere of the tests is where two views see it alike."""
    first, second = a_row(2)
    where = unproject(first.depth, first.intrinsics, first.world_from_camera)[24:48, 40:56]
    camera = invert_rigid(second.world_from_camera)
    pixels, _ = project(where.flatten(0, 1), second.intrinsics, camera)
    row, column = pixels[:, 1].long(), pixels[:, 0].long()
    there = unproject(second.depth, second.intrinsics, second.world_from_camera)[row, column]
    assert (there - where.flatten(0, 1)).norm(dim=-1).median() < 0.05


def focals_px(found: RecoveredCameras) -> Tensor:
    return torch.tensor([0.0 if c is None else c.intrinsics[0, 0].item() for c in found.cameras])


@pytest.mark.parametrize("together", [96, 4])
def test_matches_tell_the_focal_length_of_a_lens(monkeypatch, together) -> None:
    monkeypatch.setattr(matched_poses, "_MOST_TOGETHER", together)
    monkeypatch.setattr(matched_poses, "_MATCHES_PER_CAUSE", 1e6)
    truths = a_row(6, turn=-0.5)
    views = [truth.view for truth in truths]
    predictions = [seen(truth, told=1.15) for truth in truths]
    found = recover_cameras(predictions, views)
    by_pointmaps = recover_cameras(predictions, views, pose_recipe="pointmaps")
    torch.testing.assert_close(focals_px(by_pointmaps), torch.full((6,), 644.0), rtol=0.01, atol=0)
    torch.testing.assert_close(focals_px(found), torch.full((6,), 560.0), rtol=0.05, atol=0)
    assert len(focals_px(found).unique()) == 1
    assert relative_errors(found, truths)[0].max() < 1


def test_photos_of_one_size_may_be_of_several_lenses(monkeypatch) -> None:
    monkeypatch.setattr(matched_poses, "_MATCHES_PER_CAUSE", 1e6)
    zooms = [1.0, 1.15, 0.85, 1.1, 0.9, 1.05]
    truths = [a_row(6, zoom, turn=-0.5)[index] for index, zoom in enumerate(zooms)]
    predictions = [seen(truth, told=1 / zoom) for truth, zoom in zip(truths, zooms, strict=True)]
    true = torch.tensor([truth.focal_px for truth in truths])
    found = recover_cameras(predictions, [truth.view for truth in truths])
    torch.testing.assert_close(focals_px(found), true, rtol=0.05, atol=0)
    # Not so where the user says that they are of one.
    one = recover_cameras(predictions, [truth.view for truth in truths], share_focal="all")
    assert len(focals_px(one).unique()) == 1


def test_known_focal_lengths_are_not_found_anew() -> None:
    truths = a_row(4)
    views = [truth.view for truth in truths]
    predictions = [seen(truth, told=1.15) for truth in truths]
    told = pinhole(torch.tensor(650.0), 480, 640)
    found = recover_cameras(predictions, views, known_intrinsics={1: told})
    assert focals_px(found).tolist() == [650.0] * 4
