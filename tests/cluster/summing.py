"""A process that follows: it does the few things that the tests of peers order.

python -m tests.cluster.summing MEETING_POINT RANK SIZE DEVICE
"""

import os
import signal
import sys
import time

import torch

from fast3r.cluster.crew import following
from fast3r.cluster.peers import PeerFailedError, Peers


def follow(peers: Peers) -> None:
    """Do what is ordered: a word, and what it is about."""
    while (order := peers.order()) is not None:
        word, about = order
        if word == "fill":
            parts = empty_parts(about)
            parts[peers.rank].fill_(peers.rank)
            peers.share(parts)
            peers.send(torch.cat([part.flatten().float() for part in parts]), 0)
        elif word == "say":
            peers.send_text(about * peers.rank, 0)
        elif word == "fail":
            fail(peers, about)
        elif word == "end":
            os.kill(os.getpid(), about) if peers.rank == 1 else time.sleep(60)
        elif word == "exit" and peers.rank == 1:
            print("the reason", file=sys.stderr, flush=True)
            os._exit(about)  # sys.exit waits for Gloo's threads, which torch may abort


def empty_parts(sizes: list[tuple[int, ...]]) -> list[torch.Tensor]:
    return [torch.full(size, 99, dtype=torch.bfloat16) for size in sizes]


def fail(peers: Peers, rank: int) -> None:
    try:
        with peers.in_step():
            if peers.rank == rank:
                raise ValueError("no such thing")
            peers.agree()
    except (ValueError, PeerFailedError):
        pass


if __name__ == "__main__":
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    following(sys.argv[1:], follow)
