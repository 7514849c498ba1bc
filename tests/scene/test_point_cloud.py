"""Thinning point clouds."""

import pytest
import torch
from torch import Tensor

from fast3r.scene import point_cloud
from fast3r.scene.point_cloud import (
    PointCloud,
    ViewClouds,
    bounds,
    concatenate,
    evenly_thinned,
    num_points,
    random_points,
    surest_per_voxel,
)


def some_cloud(count: int = 1000, seed: int = 0) -> PointCloud:
    generator = torch.Generator().manual_seed(seed)
    return PointCloud(
        torch.randn(count, 3, generator=generator),
        torch.randint(0, 256, (count, 3), generator=generator).to(torch.uint8),
        1 + torch.rand(count, generator=generator),
        torch.arange(count) % 3,
        torch.rand(count, 2, generator=generator),
    )


def in_parts(cloud: PointCloud, *sizes: int) -> ViewClouds:
    """Return the same points as views of so many points each."""
    parts = cloud.points.split(list(sizes))
    starts = [sum(sizes[:k]) for k in range(len(sizes))]

    def make(index: int, kept: Tensor) -> PointCloud:
        return cloud.take(starts[index] + kept[0].nonzero()[:, 0])

    return ViewClouds(
        range(len(sizes)), lambda i: torch.ones(1, len(parts[i]), dtype=torch.bool), make
    )


def test_each_voxel_keeps_its_surest_point() -> None:
    cloud = some_cloud()
    thin = surest_per_voxel(cloud, 0.5)
    low = cloud.points.amin(0)

    def cells(of: PointCloud) -> list[tuple[int, ...]]:
        return [tuple(c) for c in ((of.points - low) / 0.5).floor().int().tolist()]

    best: dict[tuple[int, ...], float] = {}
    for cell, confidence in zip(cells(cloud), cloud.confidence.tolist(), strict=True):
        best[cell] = max(best.get(cell, 0), confidence)
    assert dict(zip(cells(thin), thin.confidence.tolist(), strict=True)) == best
    assert len(thin) == len(best) < len(cloud)


def test_thinned_points_keep_their_order_and_all_they_carry() -> None:
    cloud = some_cloud()
    thin = surest_per_voxel(cloud, 0.5)
    places = [cloud.confidence.tolist().index(c) for c in thin.confidence.tolist()]
    assert places == sorted(places)
    assert torch.equal(cloud.pixel[places], thin.pixel)


def test_a_small_voxel_keeps_every_point() -> None:
    assert len(surest_per_voxel(some_cloud(), 1e-4)) == 1000


def test_an_empty_cloud_stays_empty() -> None:
    empty = some_cloud(0)
    assert len(surest_per_voxel(empty, 1.0)) == len(random_points(empty, 5)) == 0


def test_the_draw_is_repeatable_without_repetition_and_depends_on_the_seed() -> None:
    cloud = some_cloud()
    first, again, other = (random_points(cloud, 100, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.points, again.points)
    assert not torch.equal(first.points, other.points)
    assert len(first.points.unique(dim=0)) == 100


def test_concatenate_undoes_a_split() -> None:
    cloud = some_cloud()
    parts = [cloud.take(torch.arange(0, 400)), cloud.take(torch.arange(400, 1000))]
    assert torch.equal(concatenate(parts).pixel, cloud.pixel)


SPLITS = [(1000,), (400, 600), (0, 1, 333, 0, 366, 300), (100,) * 10]


@pytest.mark.parametrize("sizes", SPLITS)
@pytest.mark.parametrize("count", [1, 60, 450, 1000, 2000])
def test_the_draw_does_not_depend_on_how_points_come(sizes: tuple[int, ...], count: int) -> None:
    whole = random_points(some_cloud(), count, seed=3)
    drawn = random_points(in_parts(some_cloud(), *sizes), count, seed=3)
    assert torch.equal(whole.pixel, drawn.pixel)
    assert len(drawn) == min(count, 1000)


def test_every_point_is_drawn_equally_often() -> None:
    cloud, times = some_cloud(40), torch.zeros(40)
    for seed in range(1000):
        drawn = random_points(in_parts(cloud, 10, 30), 8, seed=seed)
        times += torch.isin(cloud.pixel[:, 0], drawn.pixel[:, 0])
    # 200 each, with a standard deviation of 13.
    assert times.sum() == 8000
    assert (times - 200).abs().max() < 5 * 13


@pytest.mark.parametrize("few", [0, 50, 10_000])
@pytest.mark.parametrize("sizes", SPLITS)
def test_the_surest_of_each_voxel_do_not_depend_on_how_points_come(
    sizes: tuple[int, ...], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = some_cloud()
    # Many points are equally sure, and the first of them has to stay.
    cloud = PointCloud(**{**vars(cloud), "confidence": (3 * cloud.confidence).round()})
    whole = surest_per_voxel(cloud, 0.7)
    monkeypatch.setattr(point_cloud, "_FEW", few)
    assert torch.equal(surest_per_voxel(in_parts(cloud, *sizes), 0.7).pixel, whole.pixel)


@pytest.mark.parametrize("sizes", SPLITS)
def test_counts_bounds_and_samples_do_not_depend_on_how_points_come(sizes: tuple[int, ...]) -> None:
    cloud, parts = some_cloud(), in_parts(some_cloud(), *sizes)
    assert num_points(parts) == num_points(cloud) == 1000
    assert torch.equal(evenly_thinned(parts, 150).pixel, cloud.pixel[::7])
    low, high = bounds(parts) or (None, None)
    assert torch.equal(low, cloud.points.amin(0))
    assert torch.equal(high, cloud.points.amax(0))


def test_no_points_have_no_bounds() -> None:
    assert bounds(some_cloud(0)) is None
