"""Which patches of which views see the same points, by the features that the network gives them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.models.matching import NO_MATCH, cosines, find_matches
from fast3r.models.prediction import Prediction

Pair = tuple[int, int]

_ALL_PAIRS_VIEWS = 14
"""Up to so many views, all pairs are compared; beyond, each view with its most alike ones."""

_PARTNERS = 11
_GLANCE_PATCHES = 64
_MIN_PROBABILITY = 0.1
_MOST_MATCHES = 320
"""Of a view in another one: more say little that is new."""


@dataclass(frozen=True)
class Patches:
    """The patches of a view that a match may begin or end at."""

    features: Float[Tensor, "patches features"]
    """Of the network."""

    centre: Float[Tensor, "patches 2"]
    """Centre of the middle pixel of each patch, column and row in pixels of the network's image."""

    depth: Float[Tensor, " patches"]
    """At the middle pixel, in the unit of the local pointmap."""

    counts: Bool[Tensor, " patches"]
    """Whether there is depth, and the mask leaves the patch."""

    side_px: int
    """Of a patch."""


@dataclass(frozen=True)
class ViewMatches:
    """Where patches of one view are seen in another."""

    patch: Int[Tensor, " matches"]
    """Patches of the first view."""

    pixel: Float[Tensor, "matches 2"]
    """Where the second sees the centre of their middle pixel."""

    other: Int[Tensor, " matches"]
    """Patch of the second view that holds that place."""

    probability: Float[Tensor, " matches"]
    """That the two choose each other."""


def patches_of(prediction: Prediction, mask: Bool[Tensor, "height width"] | None) -> Patches:
    """Return the patches of a view from a prediction with matches and a local pointmap."""
    assert prediction.patches is not None
    assert prediction.local is not None
    features, depth = prediction.patches[0], prediction.local.points[0, ..., 2]
    side = round((depth.numel() / len(features)) ** 0.5)
    middle = slice(side // 2, None, side)
    depth = depth[middle, middle].to(torch.float64)
    row, column = torch.meshgrid(*map(torch.arange, depth.shape), indexing="ij")
    place = torch.stack((column, row), dim=-1).flatten(0, 1)
    counts = depth.isfinite() & (depth > 0)
    if mask is not None:
        counts = counts & mask[middle, middle].to(counts.device)
    return Patches(
        features=features,
        centre=place.double() * side + side // 2 + 0.5,
        depth=depth.where(counts, 1).flatten().cpu(),
        counts=counts.flatten().cpu(),
        side_px=side,
    )


def match_views(views: Sequence[Patches], pairs: Iterable[Pair]) -> dict[Pair, ViewMatches]:
    """Return the likely matches of pairs of views, in both directions."""
    found = {}
    for first, second in pairs:
        there, back = find_matches(views[first].features, views[second].features)
        for one, other, answer in ((first, second, there), (second, first, back)):
            a, b = views[one], views[other]
            patch, probability = answer.patch.cpu(), answer.probability.cpu().double()
            likely = a.counts & b.counts[patch] & (probability > _MIN_PROBABILITY)
            best = probability.where(likely, 0).argsort(descending=True, stable=True)
            chosen = best[: min(int(likely.sum()), _MOST_MATCHES)].sort().values
            there_px = answer.offset.cpu().double() * b.side_px
            patch = patch[chosen]
            pixel = b.centre[patch] + there_px[chosen]
            found[one, other] = ViewMatches(chosen, pixel, patch, probability[chosen])
    return found


def likely_pairs(views: Sequence[Patches]) -> list[Pair]:
    """Return the pairs worth comparing, the first view before the second."""
    count = len(views)
    if count <= _ALL_PAIRS_VIEWS:
        return [(a, b) for a in range(count) for b in range(a + 1, count)]
    return sorted(
        {
            (min(view, other), max(view, other))
            for view, others in enumerate(most_alike(views, views))
            # A view is the most alike to itself.
            for other in others
            if other != view
        }
    )


def most_alike(views: Sequence[Patches], others: Sequence[Patches]) -> list[list[int]]:
    """Return for each view which of the others seem to share the most with it."""
    if not views:
        return []
    there = torch.stack([_glance(other) for other in others])
    chosen = []
    for view in views:
        alike = cosines(_glance(view), there.flatten(0, 1)).unflatten(1, (len(others), -1))
        score = (alike.amax(dim=-1) - NO_MATCH).clamp(min=0).sum(dim=0)
        chosen.append(score.topk(min(_PARTNERS, len(others))).indices.tolist())
    return chosen


def _glance(view: Patches) -> Float[Tensor, "glance features"]:
    """Return the features of some patches, evenly spread over those that count."""
    counted = view.counts.nonzero()[:, 0]
    if len(counted) == 0:
        return F.pad(view.features[:0], (0, 0, 0, _GLANCE_PATCHES))
    spread = torch.linspace(0, len(counted) - 1, _GLANCE_PATCHES).round().long()
    return view.features[counted[spread].to(view.features.device)].float()
