from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from fast3r.scene.long.chunking import (
    check_chunking,
    chunks_by_similarity,
    chunks_in_order,
    chunks_of,
    is_ordered,
)


def along_a_way(count: int) -> Tensor:
    """Descriptors that change steadily, as those of a video."""
    where = torch.linspace(0, 1, count)[:, None]
    centres = torch.linspace(0, 1, 40)
    return normalize(torch.exp(-((where - centres) / 0.05).square()), dim=1)


def shuffled(descriptors: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return descriptors[torch.randperm(len(descriptors), generator=generator)]


@pytest.mark.parametrize("count", [1, 7, 60, 61, 100, 1000, 1001])
def test_stretches_cover_all_views_and_overlap(count: int) -> None:
    chunks = chunks_in_order(count, chunk_views=60, overlap=15)
    assert {view for chunk in chunks for view in chunk.views} == set(range(count))
    assert all(len(chunk.views) == min(count, 60) for chunk in chunks)
    for first, second in pairwise(chunks):
        assert 15 <= len(set(first.views) & set(second.views)) < 60


def test_few_views_are_one_chunk() -> None:
    assert len(chunks_in_order(60, chunk_views=60, overlap=15)) == 1


def test_overlaps_differ_by_one_view_at_most() -> None:
    chunks = chunks_in_order(230, chunk_views=60, overlap=15)
    starts = [chunk.views[0] for chunk in chunks]
    steps = {b - a for a, b in pairwise(starts)}
    assert max(steps) - min(steps) <= 1


def test_the_middle_of_a_stretch_is_trusted_most() -> None:
    (chunk,) = chunks_in_order(5, chunk_views=10, overlap=2)
    assert chunk.weights == (1, 2, 3, 2, 1)


@pytest.mark.parametrize("count", [61, 150, 300])
def test_groups_cover_all_views_and_share_some_with_an_earlier_one(count: int) -> None:
    chunks = chunks_by_similarity(shuffled(along_a_way(count)), chunk_views=40, overlap=10)
    assert {view for chunk in chunks for view in chunk.views} == set(range(count))
    for index, chunk in enumerate(chunks):
        assert len(set(chunk.views)) == len(chunk.views) <= 40
        shared = [len(set(chunk.views) & set(other.views)) for other in chunks[:index]]
        assert index == 0 or max(shared) >= 10


def test_the_first_view_comes_first() -> None:
    chunks = chunks_by_similarity(shuffled(along_a_way(100)), chunk_views=40, overlap=10)
    assert chunks[0].views[0] == 0


def test_groups_hold_similar_views() -> None:
    descriptors = shuffled(along_a_way(200))
    similar = descriptors @ descriptors.mT
    for chunk in chunks_by_similarity(descriptors, chunk_views=40, overlap=10):
        some = list(chunk.views)
        assert similar[some][:, some].mean() > 1.5 * similar.mean()


def test_a_video_is_known_by_its_order() -> None:
    assert is_ordered(along_a_way(100), reach=5)


def test_shuffled_photos_have_no_order() -> None:
    assert not is_ordered(shuffled(along_a_way(100)), reach=5)


@pytest.mark.parametrize(
    ("order", "mixed", "found"),
    [
        ("auto", False, "given"),
        ("auto", True, "similarity"),
        ("given", True, "given"),
        ("similarity", False, "similarity"),
    ],
)
def test_order_is_found_out_or_told(order: str, mixed: bool, found: str) -> None:
    descriptors = along_a_way(100)
    plan = chunks_of(
        shuffled(descriptors) if mixed else descriptors,
        chunk_views=40,
        overlap=10,
        order=order,  # pyright: ignore
    )
    assert plan.order == found


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="order must be auto, given or similarity, got 'time'"):
        check_chunking(10, 2, "time")


def test_one_shared_view_is_refused() -> None:
    with pytest.raises(ValueError, match=r"overlap must be at least 2 views.*got 1"):
        check_chunking(10, 1, "auto")


def test_chunks_that_are_mostly_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="at least twice the overlap of 15 views, got 20"):
        check_chunking(20, 15, "auto")
