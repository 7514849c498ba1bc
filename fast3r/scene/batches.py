"""Views of one network size stacked, so that geometry works on many at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.models.prediction import Pointmap, Prediction
from fast3r.views.view import View

# Bounds memory: 16 views of 512 x 512 px hold 0.15 GiB.
_VIEWS_AT_ONCE = 16


@dataclass(frozen=True)
class Batch:
    """Pointmaps of some views of one network size."""

    views: list[int]
    """Their indices in the scene."""

    world: Float[Tensor, "views height width 3"]
    """World points."""

    world_confidence: Float[Tensor, "views height width"]
    """Confidence of the world points; 0 outside the mask."""

    local: Float[Tensor, "views height width 3"] | None
    """The same points in each view's own frame and unit; None for models without this head."""

    local_confidence: Float[Tensor, "views height width"] | None
    """Confidence of the local points; 0 outside the mask."""


def batches(
    predictions: Sequence[Prediction],
    views: Sequence[View],
    masks: Sequence[Tensor | None],
    device: torch.device,
) -> Iterator[Batch]:
    """Yield batches on a device that together hold every view once."""
    for group in views_by_size(views):
        for first in range(0, len(group), _VIEWS_AT_ONCE):
            chosen = group[first : first + _VIEWS_AT_ONCE]
            kept = [masks[index] for index in chosen]
            world, world_confidence = _stacked([predictions[i].world for i in chosen], kept, device)
            local, local_confidence = None, None
            maps = [predictions[i].local for i in chosen]
            present = [pointmap for pointmap in maps if pointmap is not None]
            if present:
                local, local_confidence = _stacked(present, kept, device)
            yield Batch(chosen, world, world_confidence, local, local_confidence)


def views_by_size(views: Sequence[View]) -> list[list[int]]:
    """Return the indices of the views of each network size, in order."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, view in enumerate(views):
        groups.setdefault((view.height, view.width), []).append(index)
    return list(groups.values())


def _stacked(
    pointmaps: Sequence[Pointmap], masks: Sequence[Tensor | None], device: torch.device
) -> tuple[Float[Tensor, "views height width 3"], Float[Tensor, "views height width"]]:
    """Return the points and masked confidences of pointmaps of batch size 1."""
    points = torch.cat([pointmap.points for pointmap in pointmaps]).to(device, torch.float32)
    confidence = torch.cat([pointmap.confidence for pointmap in pointmaps])
    confidence = confidence.to(device, torch.float32, copy=True)
    for place, mask in enumerate(masks):
        if mask is not None:
            confidence[place, ~mask.to(device)] = 0
    return points, confidence
