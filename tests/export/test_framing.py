"""Where to stand to look at a scene."""

from dataclasses import replace

import pytest
import torch

from fast3r.export.framing import framing, look_at, point_spacing, standpoint
from fast3r.geometry.cameras import Camera, invert_rigid, pinhole, project
from fast3r.geometry.transforms import Similarity, rotation_exp
from fast3r.scene.reconstruction import Reconstruction
from tests.scenes import make_scene

DOWN = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)


def with_poses(poses: list[torch.Tensor]) -> Reconstruction:
    scene = make_scene(("landscape",) * len(poses))
    cameras = [
        replace(camera, world_from_camera=pose.float())
        for camera, pose in zip(scene.cameras, poses, strict=True)
    ]
    return replace(scene, cameras=cameras)


def orbit(count: int, arc_deg: float, height: float) -> list[torch.Tensor]:
    """Return poses on an arc around the origin, all looking down at it."""
    angles = torch.linspace(0, arc_deg, count).deg2rad().double()
    places = [
        torch.stack((3 * a.sin(), -torch.tensor(height).double(), -3 * a.cos())) for a in angles
    ]
    return [look_at(place, torch.zeros(3, dtype=torch.float64), -DOWN) for place in places]


def test_look_at_puts_the_target_at_the_image_centre_and_up_upwards() -> None:
    pose = look_at(torch.tensor([1.0, 2, 3]), torch.tensor([4.0, 0, 5]), torch.tensor([0.0, 0, 1]))
    camera = pinhole(torch.tensor(100.0), 50, 50)
    points = torch.tensor([[4.0, 0, 5], [4.0, 0, 6]])
    pixels, depth = project(points, camera, invert_rigid(pose))
    torch.testing.assert_close(pixels[0], torch.tensor([25.0, 25.0]))
    assert depth[0] > 0
    assert pixels[1, 1] < 25
    assert pixels[1, 0] == pytest.approx(25, abs=1e-4)
    assert torch.linalg.det(pose[:3, :3]).item() == pytest.approx(1)


def test_look_at_straight_down_is_a_rotation() -> None:
    pose = look_at(torch.tensor([0.0, 0, 5]), torch.zeros(3), torch.tensor([0.0, 0, 1]))
    torch.testing.assert_close(pose[:3, :3] @ pose[:3, :3].mT, torch.eye(3))


@pytest.mark.parametrize(
    ("count", "arc_deg", "height"), [(12, 330, 2.0), (5, 90, 2.0), (3, 40, 4.0)]
)
def test_up_is_right_though_all_cameras_look_down(
    count: int, arc_deg: float, height: float
) -> None:
    scene = with_poses(orbit(count, arc_deg, height))
    up = framing(scene, scene.point_cloud()).up
    torch.testing.assert_close(up, -DOWN, atol=1e-5, rtol=0)


def test_up_of_one_camera_is_the_upper_side_of_its_photo() -> None:
    scene = make_scene(("landscape",))
    up = framing(scene, scene.point_cloud()).up
    torch.testing.assert_close(up.float(), -scene.cameras[0].world_from_camera[:3, 1])


def test_cameras_on_their_side_do_not_turn_the_scene_over() -> None:
    poses = orbit(6, 300, 1.0)
    poses[2] = poses[2] @ torch.tensor(
        [[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64
    )
    scene = with_poses(poses)
    assert framing(scene, scene.point_cloud()).up @ -DOWN > 0.9


def test_up_exists_though_two_photos_are_on_opposite_sides() -> None:
    pose = torch.eye(4, dtype=torch.float64)
    scene = with_poses([pose, pose @ torch.diag(torch.tensor([-1.0, -1, 1, 1])).double()])
    up = framing(scene, scene.point_cloud()).up
    torch.testing.assert_close(up, -DOWN)


def test_framing_follows_a_similarity() -> None:
    scene = make_scene()
    rotation = rotation_exp(torch.tensor([0.4, 2.0, -0.3]))
    similarity = Similarity(torch.tensor(3.0), rotation, torch.tensor([1.0, 2.0, 3.0]))
    moved = scene.transformed(similarity)
    one, other = framing(scene, scene.point_cloud()), framing(moved, moved.point_cloud())
    torch.testing.assert_close(other.up, rotation.double() @ one.up, atol=1e-4, rtol=0)
    assert other.radius == pytest.approx(3 * one.radius, rel=0.1)
    assert other.frustum_depth == pytest.approx(3 * one.frustum_depth, rel=0.1)


@pytest.mark.parametrize("aspect", [0.6, 1.5])
def test_cameras_and_nearly_all_points_are_in_the_picture(aspect: float) -> None:
    scene = make_scene()
    cloud = scene.point_cloud()
    frame = framing(scene, cloud)
    place = standpoint(scene, cloud, frame, field_of_view_deg=45.0, aspect=aspect)
    focal_px = torch.tensor(50 / torch.tensor(torch.pi / 8).tan().item())
    pose = look_at(place, frame.centre, frame.up).float()
    camera = Camera(pinhole(focal_px, 100, int(100 * aspect)), pose, 100, int(100 * aspect))
    centres = torch.stack([c.world_from_camera[:3, 3] for _, _, c in scene.posed_views()])
    for points, share in ((centres, 1.0), (cloud.points, 0.98)):
        pixels, depth = project(points, camera.intrinsics, invert_rigid(pose))
        size = torch.tensor([camera.width, camera.height])
        inside = (depth > 0) & ((pixels > 0) & (pixels < size)).all(dim=-1)
        assert inside.float().mean() >= share


def test_the_standpoint_is_above_and_behind_the_cameras() -> None:
    scene = make_scene()
    cloud = scene.point_cloud()
    frame = framing(scene, cloud)
    place = standpoint(scene, cloud, frame, field_of_view_deg=45.0, aspect=1.5)
    for _, _, camera in scene.posed_views():
        offset = place - camera.world_from_camera[:3, 3].double()
        assert offset @ frame.up > 0
        assert offset @ camera.world_from_camera[:3, 2].double() < 0


def test_spacing_is_the_distance_to_the_next_point_on_a_surface_that_faces_the_camera() -> None:
    scene = make_scene(("landscape", "portrait"))
    cloud = scene.point_cloud(min_conf_percentile=0, max_slant_deg=90, margin=0)
    points = cloud.points[: 24 * 32].unflatten(0, (24, 32))
    spacing = point_spacing(scene, cloud)[: 24 * 32].unflatten(0, (24, 32))
    # The middle of the sphere, which the first camera looks at.
    assert spacing[12, 16].item() == pytest.approx(
        (points[12, 16] - points[12, 17]).norm().item(), rel=0.05
    )


def test_spacing_doubles_when_three_of_four_points_go() -> None:
    scene = make_scene(("landscape",))
    cloud = scene.point_cloud(min_conf_percentile=0, max_slant_deg=90, margin=0)
    quarter = torch.arange(0, len(cloud), 4)
    spacing = point_spacing(scene, cloud)[quarter]
    torch.testing.assert_close(point_spacing(scene, cloud.take(quarter)), 2 * spacing)
