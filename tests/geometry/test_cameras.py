import torch

from fast3r.geometry.cameras import (
    invert_rigid,
    pinhole,
    pixel_grid,
    project,
    rays_through,
    unproject,
)
from tests.geometry.synthetic import random_pose


def cameras(views: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    intrinsics = pinhole(50 + 20 * torch.rand(views, generator=generator), 6, 9)
    depth = 1 + torch.rand(views, 6, 9, generator=generator)
    return depth, intrinsics, random_pose(generator, views)


def test_the_first_pixel_centre_is_half_half() -> None:
    assert pixel_grid(2, 3)[0, 0].tolist() == [0.5, 0.5]


def test_pixels_are_x_then_y() -> None:
    assert pixel_grid(2, 3)[1, 2].tolist() == [2.5, 1.5]


def test_a_pinhole_sees_the_image_centre_straight_ahead() -> None:
    centre = torch.tensor([[4.5, 3.0]])
    assert rays_through(centre, pinhole(torch.tensor(70.0), 6, 9)).tolist() == [[0.0, 0.0, 1.0]]


def test_depth_is_the_distance_along_z() -> None:
    depth, intrinsics, _ = cameras(2)
    torch.testing.assert_close(unproject(depth, intrinsics)[..., 2], depth)


def test_projecting_what_was_unprojected_gives_the_pixel_grid() -> None:
    depth, intrinsics, world_from_camera = cameras(3)
    points = unproject(depth, intrinsics, world_from_camera).flatten(1, 2)
    pixels, _ = project(points, intrinsics, invert_rigid(world_from_camera))
    expected = pixel_grid(6, 9).flatten(0, 1).expand(3, -1, -1)
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-4)


def test_projecting_what_was_unprojected_gives_its_depth() -> None:
    depth, intrinsics, world_from_camera = cameras(3)
    points = unproject(depth, intrinsics, world_from_camera).flatten(1, 2)
    _, found = project(points, intrinsics, invert_rigid(world_from_camera))
    torch.testing.assert_close(found, depth.flatten(1))


def test_a_point_behind_the_camera_has_negative_depth() -> None:
    _, depth = project(torch.tensor([[0.0, 0, -1]]), torch.eye(3), torch.eye(4))
    assert depth.item() == -1


def test_rays_respect_skew() -> None:
    intrinsics = torch.tensor([[40.0, 3, 5], [0, 50, 6], [0, 0, 1]])
    rays = rays_through(torch.tensor([[20.0, 30], [1, 2]]), intrinsics)
    torch.testing.assert_close((rays @ intrinsics.mT)[:, :2], torch.tensor([[20.0, 30], [1, 2]]))
