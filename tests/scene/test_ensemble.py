"""Several passes make a scene that is better than each, and tell by how much it may be wrong."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fast3r.geometry.transforms import Similarity, rotation_angle_deg, rotation_exp
from fast3r.scene.ensemble.alignment import align_passes
from fast3r.scene.ensemble.fusion import Pass, fuse
from fast3r.scene.ensemble.means import agreeing, point_median, rotation_mean, rotation_median
from fast3r.scene.ensemble.record import SPREAD, CameraUncertainty, Uncertainty
from fast3r.scene.reconstruction import Reconstruction
from tests.scenes import make_scene, without_cameras


def random_similarity(seed: int) -> Similarity:
    random = torch.Generator().manual_seed(seed)
    return Similarity(
        torch.rand((), generator=random) + 0.5,
        rotation_exp(torch.randn(3, generator=random)),
        torch.randn(3, generator=random),
    )


# Means


def test_the_median_rotation_stands_against_a_minority_of_outliers() -> None:
    random = torch.Generator().manual_seed(0)
    truth = rotation_exp(torch.randn(1, 3, generator=random))
    near = truth @ rotation_exp(0.01 * torch.randn(5, 1, 3, generator=random))
    far = rotation_exp(torch.randn(3, 1, 3, generator=random))
    found = rotation_median(torch.cat((near, far)), torch.ones(8, 1))
    assert rotation_angle_deg(found.value, truth).item() < 1.5
    assert agreeing(found.distance, 0.0)[:, 0].tolist() == [True] * 5 + [False] * 3


def test_the_median_point_stands_against_a_minority_of_outliers() -> None:
    random = torch.Generator().manual_seed(0)
    near = 0.01 * torch.randn(5, 1, 3, generator=random)
    far = 10 + torch.randn(3, 1, 3, generator=random)
    found = point_median(torch.cat((near, far)), torch.ones(8, 1))
    assert found.value.norm().item() < 0.03
    assert agreeing(found.distance, 0.0)[:, 0].tolist() == [True] * 5 + [False] * 3


def test_the_median_of_equal_passes_is_what_they_say() -> None:
    rotation = rotation_exp(torch.tensor([[0.3, -0.2, 0.9]])).expand(4, 1, 3, 3)
    found = rotation_median(rotation, torch.ones(4, 1))
    torch.testing.assert_close(found.value, rotation[0])
    torch.testing.assert_close(found.distance, torch.zeros(4, 1), atol=0.05, rtol=0)


def test_what_no_pass_knows_is_nan() -> None:
    nothing = torch.zeros(3, 1)
    assert rotation_mean(torch.zeros(3, 1, 3, 3), nothing).isnan().all()
    assert rotation_median(torch.zeros(3, 1, 3, 3), nothing).distance.isnan().all()
    assert point_median(torch.zeros(3, 1, 3), nothing).value.isnan().all()


# Alignment


def clouds(seed: int = 0) -> tuple[Tensor, list[Similarity]]:
    """Return the same points as four passes have them, and the worlds of these."""
    random = torch.Generator().manual_seed(seed)
    points = torch.randn(400, 3, generator=random)
    worlds = [random_similarity(number) for number in range(4)]
    noise = 0.01 * torch.randn(4, 400, 3, generator=random)
    return torch.stack([world(points) for world in worlds]) + noise, worlds


def test_passes_are_brought_into_the_world_of_the_first() -> None:
    points, worlds = clouds()
    found = align_passes(points, torch.ones(points.shape[:2]))
    assert found.aligned.all()
    for number, world in enumerate(worlds):
        there = worlds[0] @ world.inverse()
        torch.testing.assert_close(
            found.common_from_pass.matrix[number], there.matrix, atol=0.02, rtol=0
        )


@pytest.mark.parametrize("lost", [0, 2])
def test_a_pass_that_agrees_with_no_other_is_left_out(lost: int) -> None:
    points, _ = clouds()
    points[lost] = torch.randn(400, 3, generator=torch.Generator().manual_seed(9))
    found = align_passes(points, torch.ones(points.shape[:2]))
    assert found.aligned.tolist() == [number != lost for number in range(4)]


# Fusion


PLACE_SIGMA, TURN_SIGMA, DEPTH_SIGMA = 0.02, 0.02, 0.05


def told(scene: Reconstruction) -> Uncertainty:
    assert scene.uncertainty is not None
    return scene.uncertainty


def told_of(scene: Reconstruction, index: int) -> CameraUncertainty:
    camera = told(scene).cameras[index]
    assert camera is not None
    return camera


def a_pass(scene: Reconstruction, world: Similarity) -> Pass:
    """Return a scene as a pass has it, in another world."""
    moved = scene.transformed(world)
    points = [moved.world_points(i).flatten(0, 1)[::5] for i in scene.registered]
    flat = torch.cat(points)
    return Pass(moved, flat, torch.ones(len(flat)))


def noisy(scene: Reconstruction, seed: int) -> Reconstruction:
    """Return a scene of which cameras and depth are wrong, independently."""
    random = torch.Generator().manual_seed(seed)
    cameras = []
    for _, _, camera in scene.posed_views():
        pose = camera.world_from_camera.clone()
        turn = TURN_SIGMA * torch.randn(3, generator=random)
        pose[:3, :3] = pose[:3, :3] @ rotation_exp(turn)
        pose[:3, 3] += PLACE_SIGMA * torch.randn(3, generator=random)
        cameras.append(replace(camera, world_from_camera=pose))
    depth = [d * (DEPTH_SIGMA * torch.randn(d.shape, generator=random)).exp() for d in scene.depth]
    return replace(scene, cameras=cameras, depth=depth)


def errors(scene: Reconstruction, truth: Reconstruction) -> tuple[float, float, float]:
    """Return root mean squares of errors: of places, of rotations in degrees, of log depth."""
    found, true = (
        torch.stack([each.camera(i).world_from_camera for i in range(len(truth.views))])
        for each in (scene, truth)
    )
    logs = [(a / b).log().flatten() for a, b in zip(scene.depth, truth.depth, strict=True)]
    places = (found - true)[:, :3, 3].norm(dim=-1)
    turns_deg = rotation_angle_deg(found[:, :3, :3], true[:, :3, :3])
    place, turn_deg, depth = (
        each.square().mean().sqrt().item() for each in (places, turns_deg, torch.cat(logs))
    )
    return place, turn_deg, depth


def fused_from(truth: Reconstruction, count: int, seed: int) -> Reconstruction:
    """Return what noisy passes give, fused, in the world of the truth."""
    passes = []
    for number in range(count):
        scene = noisy(truth, 100 * seed + number)
        exact = a_pass(truth, random_similarity(number))
        passes.append(replace(exact, scene=scene.transformed(random_similarity(number))))
    return fuse(passes).transformed(random_similarity(0).inverse())


def test_exact_passes_give_the_scene_of_the_first_without_uncertainty() -> None:
    truth = make_scene()
    worlds = [random_similarity(number) for number in range(3)]
    scene = fuse([a_pass(truth, world) for world in worlds])
    place, turn_deg, depth = errors(scene, truth.transformed(worlds[0]))
    assert place < 1e-3
    assert turn_deg < 0.05
    assert depth < 1e-3
    assert (told(scene).passes, told(scene).aligned) == (3, 3)
    for index in range(len(truth.views)):
        camera = told_of(scene, index)
        assert camera.rotation_deg is not None
        assert camera.rotation_deg < 0.1
        assert (camera.placed, camera.agreeing) == (3, 3)


def test_independent_errors_fall_with_the_root_of_the_number_of_passes() -> None:
    truth = make_scene()
    few = torch.tensor([errors(fused_from(truth, 3, seed), truth) for seed in range(2)])
    many = torch.tensor([errors(fused_from(truth, 9, seed), truth) for seed in range(2)])
    gain = few.square().mean(dim=0).sqrt() / many.square().mean(dim=0).sqrt()
    assert (gain > 1.3).all()  # 1.7 in theory, less the price of standing outliers
    assert (gain < 2.3).all()


def test_told_uncertainty_is_the_difference_between_passes_times_the_calibration() -> None:
    truth = make_scene()
    exact = a_pass(truth, random_similarity(0))
    passes = [a_pass(noisy(truth, k), random_similarity(0)) for k in range(6)]
    passes = [replace(each, points=exact.points) for each in passes]
    plain = fuse(passes, calibration=SPREAD)
    doubled = fuse(passes, calibration=replace(SPREAD, rotation=2.0, depth=2.0))
    turn_deg = told_of(plain, 0).rotation_deg
    assert turn_deg == pytest.approx(1.8, rel=0.5)  # median of a 3D Gaussian
    assert told_of(doubled, 0).rotation_deg == pytest.approx(2 * (turn_deg or 0))
    relative = told(plain).depth[0] / plain.depth[0]
    assert relative.nanmedian().item() == pytest.approx(0.6745 * DEPTH_SIGMA, rel=0.3)


def test_a_view_that_one_pass_puts_elsewhere_is_where_the_others_put_it() -> None:
    truth = make_scene()
    passes = [a_pass(truth, random_similarity(number)) for number in range(4)]
    elsewhere = passes[2].scene
    pose, cameras = elsewhere.camera(1).world_from_camera, list(elsewhere.cameras)
    cameras[1] = replace(elsewhere.camera(1), world_from_camera=pose @ pose)
    passes[2] = replace(passes[2], scene=replace(elsewhere, cameras=cameras))
    scene = fuse(passes)
    place, turn_deg, _ = errors(scene, truth.transformed(random_similarity(0)))
    assert place < 1e-3
    assert turn_deg < 0.05
    assert told_of(scene, 1).agreeing == 3


def test_a_view_is_reported_that_few_passes_place() -> None:
    truth = make_scene()
    passes = [a_pass(truth, random_similarity(number)) for number in range(3)]
    lost = [replace(each, scene=without_cameras(each.scene, 1)) for each in passes]
    scene = fuse([passes[0], *lost[1:]])
    assert told_of(scene, 1) == CameraUncertainty(None, None, None, 1, 1)
    assert fuse(lost).failures[1] == "none of 3 passes placed it; the first: too few sure points"


def test_passes_without_anything_in_common_leave_the_first() -> None:
    truth = make_scene()
    random = torch.Generator().manual_seed(0)
    passes = [
        replace(each, points=torch.randn(each.points.shape, generator=random))
        for each in (a_pass(truth, random_similarity(number)) for number in range(2))
    ]
    scene = fuse(passes)
    assert told(scene).aligned <= 1
    torch.testing.assert_close(scene.depth[0], passes[0].scene.depth[0])


# What comes after


def a_fused_scene() -> Reconstruction:
    return fuse([a_pass(noisy(make_scene(), k), random_similarity(0)) for k in range(3)])


def test_uncertainty_is_saved_with_the_scene(tmp_path: Path) -> None:
    scene = a_fused_scene()
    scene.save(tmp_path / "scene.npz")
    again = Reconstruction.load(tmp_path / "scene.npz")
    assert told(again).cameras == told(scene).cameras
    assert told(again).calibration == told(scene).calibration
    torch.testing.assert_close(told(again).depth, told(scene).depth, equal_nan=True)


def test_uncertainty_has_the_unit_of_the_world() -> None:
    scene = a_fused_scene()
    moved = scene.transformed(replace(random_similarity(1), scale=torch.tensor(3.0)))
    for index in range(len(scene.views)):
        before, after = told_of(scene, index), told_of(moved, index)
        assert after.centre == pytest.approx(3 * (before.centre or 0))
        assert after.rotation_deg == before.rotation_deg
    torch.testing.assert_close(told(moved).depth[0], 3 * told(scene).depth[0], equal_nan=True)


def test_nothing_is_told_of_cameras_that_come_from_elsewhere() -> None:
    uncertainty = told(a_fused_scene()).without([1])
    assert uncertainty.cameras[1] is None
    assert uncertainty.depth[1].isnan().all()
    assert uncertainty.cameras[0] is not None


def test_what_is_told_stays_with_its_views_when_others_go_or_come() -> None:
    scene = a_fused_scene()
    without = scene.remove(0)
    assert told(without).cameras == told(scene).cameras[1:]
    grown = told(scene).before([torch.ones(2, 3)])
    assert grown.cameras == [*told(scene).cameras, None]
    assert grown.depth[-1].isnan().all()
