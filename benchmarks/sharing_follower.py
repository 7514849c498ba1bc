"""A process that shares a pass and measures its tensors; `benchmarks.sharing` starts it."""

import sys
from pathlib import Path
from typing import Any

from benchmarks.memory import LiveTensors
from fast3r.cluster.crew import following
from fast3r.cluster.peers import Peers
from fast3r.models.follower import follow


def follow_measured(peers: Peers) -> None:
    """Follow, and write the most bytes that tensors of a pass took beside the meeting point."""
    place = Path(sys.argv[1]).with_name(f"peak{peers.rank}")
    receive, orders = peers.order, 0
    with LiveTensors() as live:

        def ordered(order: Any = None) -> Any:
            nonlocal orders
            if orders == 1:  # the network is here now: count from here on
                live.live = live.peak = 0
            place.write_text(str(live.peak))
            orders += 1
            return receive(order)

        peers.order = ordered
        follow(peers)


if __name__ == "__main__":
    following(sys.argv[1:], follow_measured)
