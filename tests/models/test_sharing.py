"""Several processes make the pointmaps that one makes."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor

from fast3r.cluster.crew import leading
from fast3r.cluster.peers import PeerFailedError, Peers
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.models.shared_pass import even_shares
from fast3r.models.sharing import SharedFast3R
from tests.models import conftest
from tests.models.conftest import BUNDLED_KIND, TINY, Golden, images_of

assert_same = partial(conftest.assert_same, rtol=1e-4, atol=1e-5)
CPU = torch.device("cpu")
SIZES = [(32, 48), (48, 32), (32, 48), (32, 48), (48, 48), (32, 48), (48, 32)]


@pytest.fixture(scope="module", params=[2, 3])
def peers(request: pytest.FixtureRequest) -> Iterator[Peers]:
    with leading("fast3r.models.follower", [CPU] * request.param) as peers:
        yield peers


@pytest.fixture(scope="module")
def one(golden: Golden) -> Fast3R:
    """The network as one process has it."""
    return golden.fill(Fast3R(TINY)).eval()


@pytest.fixture(scope="module")
def shared(one: Fast3R, peers: Peers) -> SharedFast3R:
    return SharedFast3R(one, peers)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def masks_of(images: list[Tensor]) -> list[Tensor]:
    """Return masks that hide a corner of every other view, a different one in each sample."""
    masks = [torch.ones(image.shape[0], *image.shape[2:], dtype=torch.bool) for image in images]
    for view, mask in enumerate(masks):
        for sample in range(len(mask)):
            if view % 2:
                mask[sample, : 16 * (1 + sample), :16] = False
    return masks


def test_unequal_shares_of_mixed_sizes_give_what_one_process_gives(one, shared) -> None:
    images = images_of(SIZES)
    assert_same(shared(images, seed=5), one(images, seed=5))


def test_each_view_matters_to_views_of_other_processes(shared) -> None:
    images = images_of(SIZES)
    before = shared(images)
    images[-1] = 1 - images[-1]
    assert (shared(images)[0].world.points - before[0].world.points).abs().max() > 1e-3
    images = images_of(SIZES)
    images[0] = 1 - images[0]
    assert (shared(images)[-1].world.points - before[-1].world.points).abs().max() > 1e-3


def test_masked_patches_are_left_out_as_one_process_does(one, shared) -> None:
    images = images_of(SIZES)
    masks = masks_of(images)
    assert_same(shared(images, masks=masks), one(images, masks=masks))


def test_samples_of_a_batch_are_told_apart(one, shared) -> None:
    images = images_of(SIZES, batch=2)
    assert_same(shared(images, seed=1), one(images, seed=1))
    masks = masks_of(images)
    assert_same(shared(images, masks=masks), one(images, masks=masks))


def test_view_ids_that_are_given_reach_their_views(one, shared) -> None:
    images = images_of(SIZES)
    ids = torch.tensor([[3, 1, 4, 15, 9, 2, 6]])
    assert_same(shared(images, ids), one(images, ids))


@pytest.mark.parametrize("chunks", [Chunks(1, 5, 1), Chunks(3, 64, 3)])
def test_chunks_do_not_change_the_result(one, shared, chunks) -> None:
    images = images_of(SIZES)
    assert_same(shared(images, chunks=chunks), one(images))


def test_blocks_that_look_at_a_single_view_need_no_exchange(golden, peers) -> None:
    one = golden.fill(Fast3R(BUNDLED_KIND)).eval()
    images = images_of(SIZES)
    assert_same(SharedFast3R(one, peers)(images), one(images))


def test_double_precision_agrees_to_double_precision(golden, peers) -> None:
    one = golden.fill(Fast3R(TINY)).double().eval()
    images = images_of(SIZES, dtype=torch.float64)
    found, wanted = SharedFast3R(one, peers).tokens(images), one.tokens(images)
    for got, want in zip(found.levels, wanted.levels, strict=True):
        torch.testing.assert_close(got, want[:, : got.shape[1]], rtol=1e-12, atol=1e-12)


def test_half_precision_is_exchanged_as_it_is(one, shared) -> None:
    images = images_of([(32, 48)] * 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, wanted = shared.tokens(images), one.tokens(images)
    exact = one.tokens(images)
    for got, want, truth in zip(found.levels, wanted.levels, exact.levels, strict=True):
        want, truth = want[:, : got.shape[1]], truth[:, : got.shape[1]]
        assert got.dtype == want.dtype
        rounding = (want - truth).abs().mean()
        assert (got - want).abs().mean() <= 0.5 * rounding


def test_predictions_come_from_all_processes_in_turn(shared) -> None:
    order = [view for view, _ in shared.stream(images_of([(32, 48)] * 6))]
    assert sorted(order) == list(range(6))
    assert max(order[:3]) > 2


def test_fewer_views_than_processes_are_refused(shared, peers) -> None:
    with pytest.raises(ValueError, match=f"{peers.size} processes cannot share 1 views"):
        shared(images_of([(32, 48)]))


def test_gradients_are_refused(shared) -> None:
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        pytest.raises(ValueError, match="a shared network makes no gradients"),
    ):
        shared(images_of(SIZES))


def test_a_network_with_added_parts_is_refused(golden, peers) -> None:
    model = golden.fill(Fast3R(TINY))
    model.added = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="a model with added parts cannot be shared"):
        SharedFast3R(model, peers)


def test_what_fails_elsewhere_is_told_and_the_next_pass_works(one, shared, peers) -> None:
    images = images_of(SIZES)
    masks = [torch.ones(1, *image.shape[2:], dtype=torch.bool) for image in images]
    masks[-1][:] = False
    words = f"process {peers.size} of {peers.size}: counted from view . on, view . is masked out"
    with pytest.raises(PeerFailedError, match=words):
        shared(images, masks=masks)
    assert_same(shared(images), one(images))


def test_what_fails_here_is_raised_and_the_next_pass_works(one, shared, monkeypatch) -> None:
    images = images_of(SIZES)

    def too_large(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    for place in ("encoder.norm", "fusion.blocks.1.norm2", "world_head.out3"):
        with monkeypatch.context() as patch:
            patch.setattr(shared.get_submodule(place), "forward", too_large)
            with pytest.raises(torch.cuda.OutOfMemoryError):
                shared(images)
        assert_same(shared(images), one(images))


def test_pointmaps_need_not_be_read_to_the_end(one, shared) -> None:
    images = images_of(SIZES)
    for _ in shared.stream(images):
        break
    assert_same(shared(images), one(images))


def test_pointmaps_of_two_calls_are_not_read_at_once(shared) -> None:
    reading = shared.stream(images_of(SIZES))
    next(reading)
    with pytest.raises(RuntimeError, match="are still being read"):
        shared(images_of(SIZES))
    reading.close()


# --- Shares ----------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shares_are_neighbours_that_leave_nothing_out(parts) -> None:
    shares = even_shares([5, 1, 1, 9, 2, 2, 4], parts)
    assert [view for share in shares for view in share] == list(range(7))
    assert all(len(share) for share in shares)


def test_shares_are_of_equal_work() -> None:
    assert even_shares([1] * 9, 3) == [range(3), range(3, 6), range(6, 9)]
    assert even_shares([4, 1, 1, 1, 1], 2) == [range(1), range(1, 5)]
    assert even_shares([1, 1, 1, 1, 4], 2) == [range(4), range(4, 5)]
    assert even_shares([100, 1, 1], 3) == [range(1), range(1, 2), range(2, 3)]
