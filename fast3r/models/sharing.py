"""A network that several processes share, as the one that leads them sees it.

This process has the images and gets all pointmaps, and nobody else needs to know that there are
others. What they do is in `follower`, and how they exchange it in `shared_pass`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.cluster.peers import Peers, PeersLostError
from fast3r.models.fast3r import Chunks, Fast3R, Tokens
from fast3r.models.images import check_views, views_of
from fast3r.models.layers import KeysValues
from fast3r.models.layout import layout_of
from fast3r.models.matching import FEATURES
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.models.shared_pass import (
    AllTokens,
    MakeModel,
    MakePointmaps,
    MakeTokens,
    even_shares,
)


@dataclass(frozen=True)
class SharedTokens(Tokens):
    """What this process knows of its views, while the others know theirs."""

    shares: list[range]
    """Views of each process."""

    sizes: list[tuple[int, int]]
    """Height and width of all views."""

    def views_of(self, rank: int) -> list[int]:
        """Return the views of a process in the order in which its heads make them."""
        share = self.shares[rank]
        by_size = layout_of([self.sizes[view] for view in share]).chunks(None)
        return [share[place] for group in by_size for place in group]


class SharedFast3R(Fast3R):
    """A network whose views are shared out over processes that this one leads.

    It stands in for the network that it was made of, whose weights it has, wherever no gradients
    are wanted. The order of the views, their random indices and the chunks are those of one
    process, and so is the result, to rounding.
    """

    def __init__(self, model: Fast3R, peers: Peers) -> None:
        """Give the other processes the weights.

        Raises:
            ValueError: The model has parts that its config does not tell of.
        """
        torch.nn.Module.__init__(self)
        self.__dict__.update(model.__dict__)  # the very modules, not copies
        self._peers = peers
        self._reading = False
        with torch.device("meta"):
            plain = Fast3R(model.config)
        if list(plain.state_dict()) != list(model.state_dict()):
            raise ValueError(
                "a model with added parts cannot be shared; load_model folds in adapters"
            )
        self._hand_out()

    @property
    def processes(self) -> int:
        """How many share each pass."""
        return self._peers.size

    def tokens(
        self,
        images: Float[Tensor, "batch views 3 height width"] | Sequence[Tensor],
        view_ids: Int[Tensor, "batch views"] | None = None,
        seed: int = 0,
        *,
        masks: Sequence[Bool[Tensor, "batch _ _"]] | None = None,
        chunks: Chunks | None = None,
        seen: KeysValues | None = None,
    ) -> SharedTokens:
        """Return what encoder and fusion make of the views, those of other processes left there.

        Raises:
            ValueError: There are fewer views than processes, gradients are recorded, or the
                arguments do not fit together.
            PeersLostError: Another process is gone.
            PeerFailedError: Another process could not do its part, such as for lack of memory.
        """
        views = views_of(images)
        check_views(views, masks, self.patch)
        self._check(seen)
        if self._peers.busy_with is not self:
            self._hand_out()
        shares = even_shares([view.shape[2] * view.shape[3] for view in views], self._peers.size)
        ids = self._view_ids(views, view_ids, seed)
        self._deal(views, ids, masks, chunks, shares)
        own = shares[0]  # it begins with the first view
        with self._peers.in_step():
            made = super().tokens(
                [views[v] for v in own],
                ids[:, : len(own)],
                masks=None if masks is None else [masks[v] for v in own],
                chunks=chunks,
                seen=AllTokens(self._peers),
            )
        sizes = [(view.shape[2], view.shape[3]) for view in views]
        return SharedTokens(made.levels, made.layout, shares, sizes)

    def predict(
        self, tokens: Tokens, *, chunks: Chunks | None = None
    ) -> Iterator[tuple[int, Prediction]]:
        """Yield view indices and predictions, as this process and the others make them in turn.

        Those of the newest tokens only: the others keep no older ones.
        """
        assert isinstance(tokens, SharedTokens)
        self._check_read()
        self._peers.order(MakePointmaps(chunks))
        waiting = {rank: tokens.views_of(rank) for rank in range(1, self._peers.size)}
        self._reading = True
        try:
            for index, prediction in super().predict(tokens, chunks=chunks):
                yield index, prediction
                yield from self._received(waiting, tokens)
            while any(waiting.values()):
                yield from self._received(waiting, tokens)
        finally:
            self._reading = False
            with suppress(PeersLostError):
                for rank in (rank for rank, views in waiting.items() if views):
                    self._peers.send(torch.tensor([0]), rank)

    def _hand_out(self) -> None:
        """Let the other processes have this network, instead of another one that they had."""
        dtype = self.encoder.norm.weight.dtype
        kind = self._peers.device.type
        self._peers.order(MakeModel(self.config, self.attention, dtype, kind))
        self._peers.settle(kind)
        self._peers.agree()  # by now the others have the memory
        self._peers.give(list(self.state_dict().values()))
        self._peers.busy_with = self

    def _check(self, seen: KeysValues | None) -> None:
        if torch.is_grad_enabled():
            raise ValueError(
                "a shared network makes no gradients: call it under torch.inference_mode()"
            )
        if seen is not None:
            raise ValueError("a shared network looks at all tokens: leave out the choice of them")
        if self.device != self._peers.device:
            raise ValueError(
                f"this network is shared from {self._peers.device} and cannot compute on "
                f"{self.device}: leave it where it is"
            )
        self._check_read()

    def _check_read(self) -> None:
        if self._reading:
            raise RuntimeError("pointmaps of an earlier call are still being read: end that first")

    def _deal(
        self,
        views: Sequence[Tensor],
        ids: Tensor,
        masks: Sequence[Tensor] | None,
        chunks: Chunks | None,
        shares: Sequence[range],
    ) -> None:
        """Order tokens, and send the views of each process."""
        kind = self.device.type
        on = torch.is_autocast_enabled(kind)
        self._peers.order(
            MakeTokens(
                shares=list(shares),
                shapes=[tuple(view.shape) for view in views],
                dtype=views[0].dtype,
                ids=ids.cpu(),
                masked=masks is not None,
                chunks=chunks,
                autocast=torch.get_autocast_dtype(kind) if on else None,
            )
        )
        for rank in range(1, self._peers.size):
            for view in shares[rank]:
                self._peers.send(views[view].to(views[0].dtype), rank)
                if masks is not None:
                    self._peers.send(masks[view], rank)

    def _received(
        self, waiting: dict[int, list[int]], tokens: SharedTokens
    ) -> Iterator[tuple[int, Prediction]]:
        """Ask each process that has views left for its next one."""
        for rank, views in waiting.items():
            if views:
                self._peers.send(torch.tensor([1]), rank)
                if failure := self._peers.receive_text(rank):
                    views.clear()
                    raise self._peers.said(failure, rank)
                view = views.pop(0)
                yield view, self._prediction(rank, tokens, view)

    def _prediction(self, rank: int, tokens: SharedTokens, view: int) -> Prediction:
        batch, (height, width) = tokens.levels[0].shape[0], tokens.sizes[view]

        def pointmap() -> Pointmap:
            points = self._peers.receive([batch, height, width, 3], torch.float32, rank)
            confidence = self._peers.receive([batch, height, width], torch.float32, rank)
            return Pointmap(points.to(self.device), confidence.to(self.device))

        world, local = pointmap(), None if self.local_head is None else pointmap()
        if self.match_head is None:
            return Prediction(world, local)
        count = (height // self.patch) * (width // self.patch)
        patches = self._peers.receive([batch, count, FEATURES], torch.float32, rank)
        return Prediction(world, local, patches.to(self.device))
