"""The points that a page may draw, and which of them it draws."""

from dataclasses import replace

import pytest
import torch

from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.viewer.settings import Filter
from fast3r.viz.viewer.stock import Stocks, choose, even_order, take_stock
from tests.scenes import make_scene

EVERYTHING = Filter(min_conf_percentile=0)


def points_of_view(scene: Reconstruction, index: int, percentile: float) -> torch.Tensor:
    cloud = scene.point_cloud(min_conf_percentile=percentile)
    return cloud.points[cloud.view_index == index]


def in_some_order(points: torch.Tensor) -> torch.Tensor:
    return torch.tensor(sorted(points.tolist()))


@pytest.mark.parametrize("percentile", [0, 30, 75])
def test_where_nothing_is_thinned_a_view_has_the_points_of_the_cloud(percentile: int) -> None:
    scene = make_scene()
    for i in range(4):
        chosen = choose(
            scene, i, take_stock(scene, i), Filter(min_conf_percentile=percentile), None
        )
        expected = points_of_view(scene, i, percentile)
        torch.testing.assert_close(in_some_order(chosen.points), in_some_order(expected))


def test_colours_and_pixels_belong_to_their_points() -> None:
    scene = make_scene()
    chosen = choose(scene, 1, take_stock(scene, 1), EVERYTHING, 50)
    assert len(chosen) == 50
    torch.testing.assert_close(chosen.points, scene.points_at(1, chosen.pixels))
    assert torch.equal(chosen.colors, scene.views[1].pixels.flatten(0, 1)[chosen.pixels])


def test_more_of_a_view_adds_points_and_takes_none_away() -> None:
    scene = make_scene()
    stock = take_stock(scene, 0)
    few, many = (choose(scene, 0, stock, EVERYTHING, n).pixels.tolist() for n in (40, 90))
    assert set(few) < set(many)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.35])
def test_every_beginning_of_the_order_is_spread_evenly(share: float) -> None:
    height, width, side = 96, 128, 16
    order = even_order(height, width)
    assert sorted(order.tolist()) == list(range(height * width))
    picture = torch.zeros(height * width)
    picture[order[: int(share * len(order))]] = 1
    tiles = picture.view(height // side, side, width // side, side).sum(dim=(1, 3))
    by_chance = (share * side**2 * (1 - share)) ** 0.5
    assert tiles.std() < 0.5 * by_chance


def test_points_lie_as_far_apart_as_they_were_thinned() -> None:
    scene = make_scene()
    stock = take_stock(scene, 0)
    whole = choose(scene, 0, stock, EVERYTHING, None)
    quarter = choose(scene, 0, stock, EVERYTHING, len(whole) // 4)
    distance = (whole.points - scene.cameras[0].world_from_camera[:3, 3]).norm(dim=-1)
    torch.testing.assert_close(whole.spacing, distance / scene.network_focal_px(0))
    ratio = quarter.spacing / whole.spacing[: len(quarter)]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 2.0), atol=0.02, rtol=0)


def test_of_large_views_only_some_pixels_are_looked_at() -> None:
    scene = make_scene()
    stock = take_stock(scene, 0, max_pixels=100)
    assert len(stock.pixels) <= 100
    assert stock.density == 100 / (24 * 32)
    assert set(stock.pixels.tolist()) <= set(take_stock(scene, 0).pixels.tolist())


def test_what_looks_like_sky_can_be_left_out() -> None:
    scene = make_scene(("landscape",))
    view = scene.views[0]
    pixels = view.pixels.clone()
    pixels[:12] = torch.tensor([120, 170, 240], dtype=torch.uint8)
    pixels[12:] = torch.tensor([60, 50, 20], dtype=torch.uint8)
    scene = replace(scene, views=[replace(view, pixels=pixels)])
    stocks = Stocks(scene)
    chosen = choose(scene, 0, stocks.of(0), EVERYTHING, None, sky=stocks.sky(0))
    assert len(chosen) > 100
    assert (chosen.pixels // 32 >= 12).all()


def test_points_outside_a_box_leave_their_places_to_points_inside() -> None:
    scene = make_scene()
    stock = take_stock(scene, 0)
    chosen = choose(scene, 0, stock, EVERYTHING, 30, inside=lambda points: points[:, 0] > 0)
    assert len(chosen) == 30
    assert (chosen.points[:, 0] > 0).all()


def test_a_view_without_any_valid_pixel_has_no_points() -> None:
    scene = make_scene(("landscape", "landscape"))
    scene.depth[1].zero_()
    chosen = choose(scene, 1, take_stock(scene, 1), EVERYTHING, 10)
    assert len(chosen) == 0
    assert chosen.spacing.shape == (0,)
