"""What the network says about one view."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Pointmap:
    """A 3D point for every pixel, and how sure the network is of it."""

    points: Float[Tensor, "*batch height width 3"]
    """Position of the surface seen at each pixel centre; the unit is arbitrary."""

    confidence: Float[Tensor, "*batch height width"]
    """At least 1; larger is surer."""


@dataclass(frozen=True)
class Prediction:
    """The two pointmaps of one view."""

    world: Pointmap
    """In the frame of the first view, one unit for all views."""

    local: Pointmap | None
    """In the view's own camera frame, in a unit of its own; None for models without this head."""

    patches: Float[Tensor, "*batch patches features"] | None = None
    """Features by which patches of two views are matched (`fast3r.models.matching`), row by row;
    None for models without this head."""

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Prediction":
        """Return what becomes of this when all its tensors are changed alike."""
        world = Pointmap(change(self.world.points), change(self.world.confidence))
        local = self.local and Pointmap(change(self.local.points), change(self.local.confidence))
        return Prediction(world, local, None if self.patches is None else change(self.patches))


def joined(predictions: Sequence[Prediction]) -> Prediction:
    """Return the predictions of several batches as those of one."""
    locals_ = [prediction.local for prediction in predictions if prediction.local is not None]
    patches = [prediction.patches for prediction in predictions if prediction.patches is not None]
    return Prediction(
        _joined([prediction.world for prediction in predictions]),
        _joined(locals_) if locals_ else None,
        torch.cat(patches) if patches else None,
    )


def in_order(made: Iterable[tuple[int, Prediction]]) -> list[Prediction]:
    """Return the predictions of all views in their order, whatever order they were made in."""
    by_view = dict(made)
    return [by_view[view] for view in sorted(by_view)]


def _joined(pointmaps: Sequence[Pointmap]) -> Pointmap:
    points = torch.cat([pointmap.points for pointmap in pointmaps])
    return Pointmap(points, torch.cat([pointmap.confidence for pointmap in pointmaps]))
