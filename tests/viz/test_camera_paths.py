"""Paths of a camera around a scene and before it."""

import pytest
import torch

from fast3r.export.framing import framing
from fast3r.geometry.cameras import invert_rigid, project
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.camera_paths import PathKind, camera_at, camera_path, overview
from tests.export.test_framing import orbit, with_poses
from tests.scenes import make_scene

AROUND = orbit(12, 330, 2.0)
BEFORE = orbit(5, 60, 2.0)


def path_of(
    scene: Reconstruction, kind: PathKind = "auto", *, count: int = 24, aspect: float = 1.5
) -> torch.Tensor:
    cloud = scene.point_cloud()
    return camera_path(scene, cloud, framing(scene, cloud), kind, count=count, aspect=aspect)


def azimuths_deg(scene: Reconstruction, poses: torch.Tensor) -> torch.Tensor:
    """Return how far each place is turned around the upward axis from the first one."""
    up = framing(scene, scene.point_cloud()).up
    back = -poses[:, :3, 2]
    level = torch.nn.functional.normalize(back - (back @ up)[:, None] * up, dim=-1)
    sine = torch.linalg.cross(level[:1].expand_as(level), level) @ up
    return torch.atan2(sine, level @ level[0]).rad2deg()


@pytest.mark.parametrize(("poses", "kind"), [(AROUND, "orbit"), (BEFORE, "swing")])
def test_auto_goes_around_only_where_photos_were_taken_from_all_sides(
    poses: list[torch.Tensor], kind: PathKind
) -> None:
    scene = with_poses(poses)
    assert torch.equal(path_of(scene), path_of(scene, kind))


def test_an_orbit_turns_evenly_and_its_last_step_leads_to_the_first_place() -> None:
    scene = with_poses(AROUND)
    turned = azimuths_deg(scene, path_of(scene, "orbit", count=8))
    steps = (torch.cat((turned, turned[:1])).diff() + 360) % 360
    torch.testing.assert_close(steps, torch.full((8,), 45.0).double(), atol=1e-4, rtol=0)


def test_a_swing_stays_on_the_side_of_the_photos() -> None:
    scene = with_poses(BEFORE)
    turned = azimuths_deg(scene, path_of(scene, "swing", count=40))
    middle = (turned.max() + turned.min()) / 2
    assert middle.abs() < 1e-4
    assert 20 <= turned.max() <= 40


@pytest.mark.parametrize("kind", ["orbit", "swing"])
def test_the_step_from_the_last_place_to_the_first_is_like_the_others(kind: PathKind) -> None:
    scene = with_poses(AROUND)
    poses = path_of(scene, kind, count=48)
    moves = (poses.roll(-1, dims=0) - poses).flatten(1).norm(dim=-1)
    assert moves[-1] <= 1.5 * moves[:-1].max()


@pytest.mark.parametrize("kind", ["orbit", "swing"])
def test_every_place_is_a_rigid_pose(kind: PathKind) -> None:
    rotations = path_of(with_poses(AROUND), kind)[:, :3, :3]
    identity = torch.eye(3).double().expand_as(rotations)
    torch.testing.assert_close(rotations @ rotations.mT, identity, atol=1e-6, rtol=0)
    assert (torch.linalg.det(rotations) > 0).all()


@pytest.mark.parametrize("aspect", [0.6, 1.8])
@pytest.mark.parametrize("kind", ["orbit", "swing"])
def test_cameras_and_nearly_all_points_stay_in_the_film(kind: PathKind, aspect: float) -> None:
    scene = make_scene()
    poses = path_of(scene, kind, aspect=aspect)
    places = torch.stack([c.world_from_camera[:3, 3] for _, _, c in scene.posed_views()])
    for place in poses:
        camera = camera_at(place, width=int(100 * aspect), height=100)
        size = torch.tensor([camera.width, camera.height])
        for points, share in ((places, 1.0), (scene.point_cloud().points, 0.98)):
            pose = invert_rigid(camera.world_from_camera)
            pixels, depth = project(points, camera.intrinsics, pose)
            inside = (depth > 0) & ((pixels > 0) & (pixels < size)).all(dim=-1)
            assert inside.float().mean() >= share


def test_a_stray_camera_does_not_make_the_overview_small() -> None:
    scene = with_poses(AROUND)
    stray = AROUND[3].clone()
    stray[:3, 3] *= 100
    with_stray = with_poses([*AROUND[:3], stray, *AROUND[4:]])
    cloud = scene.point_cloud()
    near, far = (
        overview(s, cloud, framing(s, cloud), aspect=1.5)[:3, 3].norm() for s in (scene, with_stray)
    )
    assert far < 1.5 * near
