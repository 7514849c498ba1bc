"""Paths of a camera around, before and through a scene."""

import math
from dataclasses import replace

import pytest
import torch

from fast3r.export.framing import framing
from fast3r.geometry.cameras import invert_rigid, project
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.camera_paths import CameraPath, PathKind, camera_path, overview, visiting_order
from tests.export.test_framing import orbit, with_poses
from tests.scenes import make_scene

AROUND = orbit(12, 330, 2.0)
BEFORE = orbit(5, 60, 2.0)


def path_of(
    scene: Reconstruction, kind: PathKind = "auto", *, count: int = 24, aspect: float = 1.5
) -> CameraPath:
    cloud = scene.point_cloud()
    return camera_path(scene, cloud, framing(scene, cloud), kind, count=count, aspect=aspect)


def azimuths_deg(scene: Reconstruction, path: CameraPath) -> torch.Tensor:
    """Return how far each place is turned around the upward axis from the first one."""
    up = framing(scene, scene.point_cloud()).up
    back = -path.poses[:, :3, 2]
    level = torch.nn.functional.normalize(back - (back @ up)[:, None] * up, dim=-1)
    sine = torch.linalg.cross(level[:1].expand_as(level), level) @ up
    return torch.atan2(sine, level @ level[0]).rad2deg()


@pytest.mark.parametrize(("poses", "kind"), [(AROUND, "orbit"), (BEFORE, "swing")])
def test_auto_goes_around_only_where_photos_were_taken_from_all_sides(
    poses: list[torch.Tensor], kind: PathKind
) -> None:
    scene = with_poses(poses)
    assert torch.equal(path_of(scene).poses, path_of(scene, kind).poses)


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


@pytest.mark.parametrize("kind", ["orbit", "swing", "photos"])
def test_the_step_from_the_last_place_to_the_first_is_like_the_others(kind: PathKind) -> None:
    scene = with_poses(AROUND)
    poses = path_of(scene, kind, count=48).poses
    moves = (poses.roll(-1, dims=0) - poses).flatten(1).norm(dim=-1)
    assert moves[-1] <= 1.5 * moves[:-1].max()


@pytest.mark.parametrize("kind", ["orbit", "swing", "photos"])
def test_every_place_is_a_rigid_pose(kind: PathKind) -> None:
    rotations = path_of(with_poses(AROUND), kind).poses[:, :3, :3]
    identity = torch.eye(3).double().expand_as(rotations)
    torch.testing.assert_close(rotations @ rotations.mT, identity, atol=1e-6, rtol=0)
    assert (torch.linalg.det(rotations) > 0).all()


@pytest.mark.parametrize("aspect", [0.6, 1.8])
@pytest.mark.parametrize("kind", ["orbit", "swing"])
def test_cameras_and_nearly_all_points_stay_in_the_film(kind: PathKind, aspect: float) -> None:
    scene = make_scene()
    path = path_of(scene, kind, aspect=aspect)
    places = torch.stack([c.world_from_camera[:3, 3] for _, _, c in scene.posed_views()])
    for k in range(24):
        camera = path.camera(k, width=int(100 * aspect), height=100)
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
        overview(s, cloud, framing(s, cloud), aspect=1.5).poses[0, :3, 3].norm()
        for s in (scene, with_stray)
    )
    assert far < 1.5 * near


def test_the_path_along_the_photos_starts_at_the_first_and_turns_at_the_last() -> None:
    scene = with_poses(orbit(9, 120, 0.0))
    poses = path_of(scene, "photos", count=40).poses
    first, last = (scene.cameras[i].world_from_camera[:3, 3] for i in (0, 8))
    # The path is smooth, so its ends lie a little inwards.
    assert (poses[0, :3, 3] - first).norm() < 0.8
    assert (poses[20, :3, 3] - last).norm() < 0.8
    assert (poses[0, :3, 3] - poses[20, :3, 3]).norm() > 3


def test_the_path_along_photos_looks_where_they_look() -> None:
    scene = with_poses(orbit(9, 120, 0.0))
    for pose in path_of(scene, "photos").poses:
        to_middle = torch.nn.functional.normalize(-pose[:3, 3], dim=0)
        assert pose[:3, 2] @ to_middle > 0.99


def test_the_path_along_photos_turns_where_the_photographer_only_turned() -> None:
    scene = make_scene(("landscape",) * 4)
    angles = torch.tensor([0.0, 0.2, 0.4, 0.6])
    poses = []
    for angle in angles:
        pose = torch.eye(4)
        pose[0, 0] = pose[2, 2] = angle.cos()
        pose[0, 2], pose[2, 0] = angle.sin(), -angle.sin()
        poses.append(pose)
    cameras = [replace(c, world_from_camera=p) for c, p in zip(scene.cameras, poses, strict=True)]
    path = path_of(replace(scene, cameras=cameras), "photos", count=20)
    looks = path.poses[:, :3, 2]
    assert math.degrees(math.acos((looks[0] @ looks[10]).item())) > 15


def test_the_path_along_photos_sees_no_more_than_they_did() -> None:
    scene = make_scene(("landscape",) * 3)
    path = path_of(scene, "photos", aspect=1.0)
    fy_px, height = scene.cameras[1].intrinsics[1, 1].item(), 3000
    assert path.field_of_view_deg == pytest.approx(
        2 * math.degrees(math.atan(height / 2 / fy_px)), rel=1e-6
    )


def test_photos_taken_in_a_row_are_visited_in_their_order() -> None:
    places = torch.tensor([[0.0, 0, 0], [1.0, 0.3, 0], [2.2, 0, 0], [3.0, 0.2, 0]]).double()
    assert visiting_order(places) == [0, 1, 2, 3]


def test_photos_in_disorder_are_visited_from_next_to_next() -> None:
    along = torch.tensor([0.0, 7, 1, 6, 2, 5, 3, 4])
    places = torch.stack((along, 0 * along, 0 * along), dim=-1).double()
    assert along[visiting_order(places)].tolist() == list(range(8))


def test_one_photo_is_no_path() -> None:
    with pytest.raises(ValueError, match="needs two photos with cameras, there is one"):
        path_of(make_scene(("landscape",)), "photos")
