"""Small tools of robust fitting: weights, medians, even samples and a test against chance."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# A fit is trusted if chance would give a thousandth of one as good.
LOG_RARE = math.log(1e-3)

# The length of a Gaussian error of standard deviation 1 per axis has this median, in 2D and in 3D.
MEDIAN_LENGTH_2D, MEDIAN_LENGTH_3D = 1.1774, 1.538

# Medians sort, which is slow; a thousand points give them to 3 %.
MEDIAN_POINTS = 1024

# A network's errors are alike from pixel to pixel: more points make a fit slower, not better.
_ENOUGH_POINTS = 2**15


def geman_mcclure_weight(
    squared: Float[Tensor, "*batch points"], scale: Float[Tensor, "*#batch 1"]
) -> Float[Tensor, "*batch points"]:
    """Return the least-squares weight of residuals: 1 at 0, 1/4 at `scale`, then falling as r⁻⁴.

    Geman and McClure (1985); `squared` are squared residuals in the unit of `scale` squared.
    """
    return (1 + squared / scale.square()).square().reciprocal()


def weighted_median(
    values: Float[Tensor, "*batch points"], weights: Float[Tensor, "*batch points"]
) -> Float[Tensor, "*batch"]:
    """Return the value at which half of the weight is reached; nan where all weights are zero."""
    ordered, order = values.sort(dim=-1)
    reached = weights.gather(-1, order).cumsum(dim=-1)
    half = reached[..., -1:] / 2
    at = torch.searchsorted(reached, half).clamp(max=values.shape[-1] - 1)
    return ordered.gather(-1, at).where(half > 0, torch.nan)[..., 0]


def even_sample(
    weights: Float[Tensor, "views points"], count: int, generator: torch.Generator
) -> Int[Tensor, "views {count}"]:
    """Return indices drawn in proportion to weights, in random order.

    Stratified sampling: the summed weights are cut into `count` equal parts and each gives one
    point, so that points which lie close in memory (close in the image) are drawn evenly, and
    often only if their weight is large. Any prefix is itself a random sample. Every view gets
    the same random numbers, so that its sample does not depend on its neighbours.
    """
    # A regular comb instead would beat with the rows of an image and miss whole columns.
    jitter = torch.rand(count, generator=generator)
    comb = jitter + torch.randperm(count, generator=generator)
    shares = weights.cumsum(dim=-1)
    targets = shares[:, -1:] * (comb / count).to(shares)
    at = torch.searchsorted(shares, targets.contiguous(), right=True)
    return at.clamp(max=weights.shape[-1] - 1)


def every_nth(points: int) -> int:
    """Return the step at which enough of the points of a large pointmap are taken; 1 for others.

    It seldom divides the width of an image, so that the points taken form no columns.
    """
    step = -(-points // _ENOUGH_POINTS)
    return step + 1 if step > 1 and step % 2 == 0 else step


def usable_weights(
    points: Float[Tensor, "*views points axes"],
    confidence: Float[Tensor, "*views points"] | None,
    mask: Bool[Tensor, "*views points"] | None,
) -> Float[Tensor, "*views points"]:
    """Return the confidence of finite, unmasked points and 0 for all others."""
    weights = torch.ones_like(points[..., 0]) if confidence is None else confidence
    usable = points.isfinite().all(dim=-1) & weights.isfinite() & (weights > 0)
    if mask is not None:
        usable = usable & mask
    return weights.where(usable, 0)


def take_points(
    values: Float[Tensor, "views points axes"], chosen: Int[Tensor, "views chosen"]
) -> Float[Tensor, "views chosen axes"]:
    """Return the chosen points of each view."""
    return values.gather(1, chosen[..., None].expand(-1, -1, values.shape[-1]))


def log_false_alarms(
    inlier_ratio: Float[Tensor, " views"],
    trials: Int[Tensor, " views"],
    chance: Float[Tensor, " views"],
    max_candidates: int,
) -> Float[Tensor, " views"]:
    """Return the logarithm of how many fits as good would be found among unrelated points.

    The a contrario test (Moisan and Stival, 2004): a fit to 3 points meets each of the others by
    chance, and the best of all triples of points, or of `max_candidates`, is at hand.
    """
    others = (trials - 3).clamp(min=0).to(torch.float64)
    met = (inlier_ratio * trials - 3).to(torch.float64).clamp(min=0)
    choices = torch.lgamma(others + 1) - torch.lgamma(met + 1) - torch.lgamma(others - met + 1)
    triples = trials.to(torch.float64) ** 3 / 6
    candidates = (4 * triples).clamp(1, max_candidates)
    return candidates.log() + choices + met * chance.to(torch.float64).log()
