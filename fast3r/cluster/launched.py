"""Processes that `torchrun` started: the first leads, and the others follow."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import torch

from fast3r.cluster.peers import Peers, PeersLostError, join, part


def is_launched() -> bool:
    """Return whether `torchrun` started this process, and others with it."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_leading() -> bool:
    """Return whether this process is the first of those that were started together."""
    return os.environ["RANK"] == "0"


def lead(device: torch.device) -> Peers:
    """Return what leads the other processes that were started with this one, the first.

    Raises:
        PeersLostError: They did not come.
    """
    peers = _met()
    peers.place(device)
    return peers


def dismiss() -> None:
    """Let the others go, whether or not anything was shared with them."""
    with suppress(PeersLostError):
        if not _met().lost:
            _met().order(None)
    _met.cache_clear()
    part()


def follow(do: Callable[[Peers], None]) -> None:
    """Follow the first process until it lets this one go, or ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with suppress(PeersLostError):
        join()
        do(Peers())
    part()


@cache
def _met() -> Peers:
    join()
    return Peers()
