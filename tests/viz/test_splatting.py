"""Points as discs that hide each other."""

import pytest
import torch

from fast3r.geometry.cameras import Camera, pinhole, project
from fast3r.viz.splatting import splat

CAMERA = Camera(pinhole(torch.tensor(20.0), 21, 31), torch.eye(4), 21, 31)
RED, BLUE = (255, 0, 0), (0, 0, 255)


def drawn(
    points: list[list[float]], colors: list[tuple[int, int, int]], diameters: list[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    rgb = torch.tensor(colors, dtype=torch.uint8).reshape(-1, 3)
    xyz = torch.tensor(points).reshape(-1, 3)
    return splat(xyz, rgb, CAMERA, diameters=torch.tensor(diameters))


def test_a_small_point_colours_the_one_pixel_it_projects_to() -> None:
    picture, depth = drawn([[0.1, 0.0, 2.0]], [RED], [1e-6])
    assert depth.isfinite().nonzero().tolist() == [[10, 16]]
    assert depth[10, 16] == 2
    assert picture[10, 16].tolist() == list(RED)
    assert picture.sum() == 255


def test_the_nearer_point_hides_the_farther_in_any_order() -> None:
    points, colors = [[0.0, 0, 2], [0.0, 0, 3]], [RED, BLUE]
    for order in ([0, 1], [1, 0]):
        picture, _ = drawn([points[k] for k in order], [colors[k] for k in order], [1e-6, 1e-6])
        assert picture[10, 15].tolist() == list(RED)


def test_a_disc_covers_the_area_of_its_diameter() -> None:
    _, depth = drawn([[0.0, 0.0, 2.0]], [RED], [1.0])
    assert depth.isfinite().sum().item() in range(69, 100)  # pi/4 * 10 px squared = 79
    assert depth[10].isfinite().sum() == depth[:, 15].isfinite().sum() == 11


def test_points_behind_and_beside_are_not_drawn() -> None:
    _, depth = drawn([[0, 0, -2.0], [9, 0, 2.0], [0, 9, 2.0], [0, 0, 0.0]], [RED] * 4, [1e-6] * 4)
    assert not depth.isfinite().any()


def test_a_disc_at_the_border_does_not_reach_around_it() -> None:
    _, depth = drawn([[-1.55, 0.0, 2.0]], [RED], [0.5])
    assert depth[:, :4].isfinite().any()
    assert not depth[:, 4:].isfinite().any()


def test_no_points_give_an_empty_picture() -> None:
    picture, depth = drawn([], [], [])
    assert picture.shape == (21, 31, 3)
    assert not depth.isfinite().any()


def test_between_points_of_one_surface_each_pixel_is_that_of_the_nearest() -> None:
    # Two discs of 11 px, 4 px apart, the left one a hair nearer: each has its own half.
    picture, _ = drawn([[-0.2, 0.0, 1.999], [0.2, 0.0, 2.0]], [RED, BLUE], [1.0, 1.0])
    row = picture[10].tolist()
    assert row[9:15] == [list(RED)] * 6
    assert row[16:22] == [list(BLUE)] * 6


def test_a_large_disc_hides_what_is_behind_its_radius() -> None:
    picture, _ = drawn([[0.0, 0, 2], [0.1, 0, 2.6]], [RED, BLUE], [1.0, 1e-6])
    assert not (picture == torch.tensor(BLUE, dtype=torch.uint8)).all(dim=-1).any()


def test_no_disc_is_wider_than_allowed() -> None:
    _, depth = drawn([[0.0, 0.0, 2.0]], [RED], [50.0])
    assert depth[10].isfinite().sum() == 2 * 12 + 1


def test_a_disc_whose_point_is_outside_reaches_in() -> None:
    _, depth = drawn([[-1.7, 0.0, 2.0]], [RED], [1.0])
    assert depth[10, :4].isfinite().all()


@pytest.mark.parametrize("seed", range(3))
def test_every_pixel_shows_a_point_whose_disc_covers_it(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(60, 3, generator=generator) * torch.tensor([3.0, 2.0, 2.0])
    points += torch.tensor([-1.5, -1.0, 2.0])
    colors = torch.arange(1, 61, dtype=torch.uint8)[:, None].expand(60, 3)
    picture, depth = splat(points, colors, CAMERA, diameters=torch.full((60,), 0.4))
    pixels, distance = project(points, CAMERA.intrinsics, CAMERA.world_from_camera)
    rows, columns = depth.isfinite().nonzero().unbind(-1)
    shown = picture[rows, columns, 0].long() - 1
    offset = torch.stack((columns, rows), dim=-1) - pixels[shown].floor()
    radius = (0.5 * CAMERA.intrinsics[0, 0] * 0.4 / distance[shown]).round()
    assert (offset.abs().amax(dim=-1) <= radius).all()
    assert torch.equal(depth[rows, columns], distance[shown])
