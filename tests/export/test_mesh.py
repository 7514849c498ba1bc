"""Triangle meshes: the surface that exact depth maps share, its colours, and its file."""

import pytest
import torch
import trimesh
from torch import Tensor

from fast3r.export.framing import look_at
from fast3r.export.mesh import make_mesh, write
from fast3r.geometry.cameras import Camera, invert_rigid, pinhole, pixel_grid, rays_through
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.view import View
from tests.scenes import make_scene, without_cameras

SIDE, FOCAL_PX, RADIUS = 96, 110.0, 1.0


def ball(views: int = 8) -> Reconstruction:
    """Return exact views of a ball, red where x is positive and blue where it is not."""
    cameras, depths, photos = [], [], []
    for i in range(views):
        angle = torch.tensor(2 * torch.pi * i / views)
        place = 3 * torch.stack((angle.cos(), torch.tensor(0.6 - 1.2 * (i % 2)), angle.sin()))
        up = torch.tensor([0.0, -1, 0])
        pose = look_at(place, torch.zeros(3), up).float()
        intrinsics = pinhole(torch.tensor(FOCAL_PX), SIDE, SIDE)
        depth, points = _seen_ball(intrinsics, pose)
        red = (points[..., :1] > 0).float() * torch.tensor([255.0, 0, 0])
        blue = (points[..., :1] <= 0).float() * torch.tensor([0, 0, 255.0])
        photos.append(View((red + blue).to(torch.uint8), torch.eye(3), f"{i}.png", SIDE, SIDE))
        cameras.append(Camera(intrinsics, pose, SIDE, SIDE))
        depths.append(depth)
    sure = [torch.full((SIDE, SIDE), 2.0)] * views
    return Reconstruction(photos, cameras, depths, sure, [None] * views, [], Scale())


def _seen_ball(intrinsics: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
    rays = rays_through(pixel_grid(SIDE, SIDE).flatten(0, 1), intrinsics).view(SIDE, SIDE, 3)
    centre = invert_rigid(pose)[:3, 3]
    along, squared = rays @ centre, (rays * rays).sum(-1)
    root = along.square() - squared * (centre.square().sum() - RADIUS**2)
    depth = ((along - root.clamp(min=0).sqrt()) / squared).where(root > 0, 0)
    points = (rays * depth[..., None]) @ pose[:3, :3].mT + pose[:3, 3]
    return depth, points


@pytest.fixture(scope="module")
def scene() -> Reconstruction:
    return ball()


def test_the_mesh_of_a_ball_is_round(scene):
    mesh = make_mesh(scene, cloud=scene.point_cloud(min_conf_percentile=0))
    distance = torch.linalg.vector_norm(mesh.vertices, dim=-1)
    assert (distance - RADIUS).abs().median() < 0.01
    assert (distance - RADIUS).abs().max() < 0.08


def test_triangles_face_outwards(scene):
    mesh = make_mesh(scene)
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    outward = (torch.linalg.cross(b - a, c - a) * (a + b + c)).sum(-1)
    assert (outward > 0).float().mean() > 0.99


def test_colours_are_those_of_the_surface(scene):
    mesh = make_mesh(scene)
    clear = mesh.vertices[:, 0].abs() > 0.1
    red = mesh.colors[:, 0] > mesh.colors[:, 2]
    assert (red == (mesh.vertices[:, 0] > 0))[clear].float().mean() > 0.99


def test_finer_voxels_make_more_triangles(scene):
    assert len(make_mesh(scene, voxel=0.03).faces) > 3 * len(make_mesh(scene, voxel=0.07).faces)


def test_points_left_out_of_the_cloud_are_left_out_of_the_mesh(scene):
    cloud = scene.point_cloud()
    upper = cloud.take((cloud.points[:, 1] < 0).nonzero()[:, 0])
    assert make_mesh(scene, cloud=upper).vertices[:, 1].max() < 0.15


def test_other_programs_read_the_file(scene, tmp_path):
    write(scene, tmp_path / "mesh.ply")
    mesh, read = make_mesh(scene), trimesh.load(tmp_path / "mesh.ply", process=False)
    torch.testing.assert_close(torch.from_numpy(read.vertices).float(), mesh.vertices)
    assert (torch.from_numpy(read.faces) == mesh.faces).all()
    assert (torch.from_numpy(read.visual.vertex_colors[:, :3]) == mesh.colors).all()


def test_views_of_any_size_and_turn_are_fused():
    assert len(make_mesh(make_scene()).faces) > 100


def test_a_scene_without_cameras_has_no_mesh():
    with pytest.raises(ValueError, match="none of the 4 views has a camera"):
        make_mesh(without_cameras(make_scene(), 0, 1, 2, 3))


def test_no_points_make_no_mesh(scene):
    with pytest.raises(ValueError, match="no point is left for a mesh; lower min_confidence"):
        make_mesh(scene, cloud=scene.point_cloud(min_confidence=99.0))


def test_a_voxel_has_a_size(scene):
    with pytest.raises(ValueError, match="voxel must be positive, got 0"):
        make_mesh(scene, voxel=0.0)
