"""What processes that work together tell each other."""

from collections.abc import Iterator

import pytest
import torch

from fast3r.cluster.crew import leading
from fast3r.cluster.peers import PeerFailedError, Peers
from tests.cluster.summing import empty_parts, fail

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    with leading("tests.cluster.summing", [CPU] * 3) as peers:
        yield peers


def test_each_process_fills_its_part_of_any_size_and_format(peers) -> None:
    sizes = [(2, 3), (5, 1), (1, 1)]
    peers.order(("fill", sizes))
    parts = empty_parts(sizes)
    parts[0].fill_(0)
    peers.share(parts)
    wanted = torch.tensor([0.0] * 6 + [1.0] * 5 + [2.0])
    assert torch.equal(torch.cat([part.flatten().float() for part in parts]), wanted)
    for rank in (1, 2):
        assert torch.equal(peers.receive([12], torch.float32, rank), wanted)


def test_texts_arrive_empty_or_not(peers) -> None:
    for text in ("", "größer"):
        peers.order(("say", text))
        assert [peers.receive_text(rank) for rank in (1, 2)] == [text, 2 * text]


@pytest.mark.parametrize("rank", [1, 2])
def test_a_failure_elsewhere_is_told_here(peers, rank) -> None:
    peers.order(("fail", rank))
    with (
        pytest.raises(PeerFailedError, match=f"process {rank + 1} of 3: no such thing"),
        peers.in_step(),
    ):
        peers.agree()
    test_texts_arrive_empty_or_not(peers)


def test_a_failure_here_is_raised_here_and_told_elsewhere(peers) -> None:
    peers.order(("fail", 0))
    fail(peers, 0)
    test_texts_arrive_empty_or_not(peers)


def test_a_second_group_in_one_process_is_refused(peers) -> None:
    with (
        pytest.raises(ValueError, match="is in use in this process already"),
        leading("tests.cluster.summing", [CPU] * 2),
    ):
        pass
