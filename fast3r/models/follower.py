"""A process that computes some of the views of another one, which leads it; see `sharing`.

python -m fast3r.models.follower MEETING_POINT RANK SIZE DEVICE
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from fast3r.cluster.crew import following
from fast3r.cluster.peers import Peers, PeersLostError, told
from fast3r.models.fast3r import Fast3R, Tokens
from fast3r.models.prediction import Prediction
from fast3r.models.shared_pass import AllTokens, MakeModel, MakePointmaps, MakeTokens


@torch.no_grad()
def follow(peers: Peers) -> None:
    """Do as the leading process orders, until it lets go of this one.

    Raises:
        PeersLostError: It is gone.
    """
    follower = _Follower(peers)
    while (order := peers.order()) is not None:
        # What fails here has been told to the one that leads, who decides what follows.
        with suppress(Exception):
            follower.do(order)
        if peers.lost:
            raise PeersLostError("the leading process is gone")


class _Follower:
    """What a process that follows has at hand."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._model: Fast3R | None = None
        self._tokens: Tokens | None = None

    def do(self, order: "MakeModel | MakeTokens | MakePointmaps") -> None:
        """Do one thing."""
        if isinstance(order, MakeModel):
            self._build(order)
        elif isinstance(order, MakeTokens):
            self._look(order)
        else:
            self._show(order)

    def _build(self, order: MakeModel) -> None:
        self._peers.settle(order.kind)
        self._model = self._tokens = None
        with self._peers.in_step():
            with torch.device("meta"):
                model = Fast3R(order.config, attention=order.attention).to(order.dtype).eval()
            self._model = model.to_empty(device=self._peers.device)
        self._peers.give(list(self._model.state_dict().values()))

    def _look(self, order: MakeTokens) -> None:
        assert self._model is not None
        self._tokens = None
        share = order.shares[self._peers.rank]
        images, masks = [], []
        for view in share:
            images.append(self._peers.receive(order.shapes[view], order.dtype, 0))
            if order.masked:
                batch, _, *size = order.shapes[view]
                masks.append(self._peers.receive([batch, *size], torch.bool, 0))
        device = self._peers.device
        with (
            self._peers.in_step(),
            _counted_from(share.start),
            torch.autocast(device.type, dtype=order.autocast, enabled=order.autocast is not None),
        ):
            self._tokens = self._model.tokens(
                images,
                order.ids[:, share.start : share.stop],
                masks=masks if order.masked else None,
                chunks=order.chunks,
                seen=AllTokens(self._peers),
            )

    def _show(self, order: MakePointmaps) -> None:
        assert self._model is not None
        assert self._tokens is not None
        made = self._model.predict(self._tokens, chunks=order.chunks)
        for _ in self._tokens.layout.views:
            # The next one is made before it is asked for, while the others make theirs.
            prediction, failure = _tried(made)
            if not self._peers.receive([1], torch.int64, 0):
                return
            self._peers.send_text(failure, 0)
            if prediction is None:
                return
            for pointmap in filter(None, (prediction.world, prediction.local)):
                self._peers.send(pointmap.points.float(), 0)
                self._peers.send(pointmap.confidence.float(), 0)
            if prediction.patches is not None:
                self._peers.send(prediction.patches, 0)


@contextmanager
def _counted_from(first: int) -> Iterator[None]:
    """Say of what is wrong with a view where its number begins."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"counted from view {first} on, {error}") from error


def _tried(made: Iterator[tuple[int, Prediction]]) -> tuple[Prediction | None, str]:
    """Return the next prediction, or why there is none."""
    try:
        return next(made)[1], ""
    except Exception as error:
        # Whatever it is, the one that leads waits for this view, and must hear of it.
        return None, told(error)


if __name__ == "__main__":
    following(sys.argv[1:], follow)
