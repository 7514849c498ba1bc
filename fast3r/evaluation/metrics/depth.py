"""Errors of depth maps. A depth of 0 means unknown, in truth and in the prediction."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import in_double


@dataclass(frozen=True)
class DepthErrors:
    """Over the pixels whose true depth is known; all nan where there are none.

    A pixel without a prediction counts as depth 0, hence as a relative error of 1 and as an
    outlier.
    """

    abs_rel: float
    """Mean of |error| / truth (AbsRel)."""

    delta_103: float
    """Share of pixels whose larger ratio of the two depths is below 1.03, in [0, 1].

    It is the inlier ratio of the RobustMVD benchmark.
    """

    delta_125: float
    """Share below 1.25 (δ1)."""


def score_depth(
    predicted: Sequence[Float[Tensor, "_ _"]], truth: Sequence[Float[Tensor, "_ _"]]
) -> list[DepthErrors]:
    """Return the errors of each view, its depth scaled by the ratio of medians (Zhou et al., 2017).

    Args:
        predicted: Depth of each view, 0 where unknown.
        truth: Of the same sizes.
    """
    return [
        depth_errors(scale_depth(made.flatten(), true.flatten()), true.flatten())
        for made, true in zip(predicted, truth, strict=True)
    ]


def scale_depth(
    predicted: Float[Tensor, " pixels"], truth: Float[Tensor, " pixels"]
) -> Float[Tensor, " pixels"]:
    """Return depth by the factor that brings the median of what is known in both to the true one.

    It is 0 where it was unknown, and everywhere if nothing is known in both.
    """
    both = _known(predicted) & _known(truth)
    scale = _median(in_double(truth[both])) / _median(in_double(predicted[both]))
    scaled = predicted * scale.item()
    return scaled.where(_known(predicted) & scaled.isfinite(), 0)


def depth_errors(
    predicted: Float[Tensor, " pixels"], truth: Float[Tensor, " pixels"]
) -> DepthErrors:
    """Return the errors of depth as it is, over the pixels whose truth is known."""
    known = _known(truth)
    made, true = in_double(predicted[known]), in_double(truth[known])
    made = made.where(made.isfinite(), 0)
    ratio = torch.maximum(made / true, true / made).where(made > 0, torch.inf)
    return DepthErrors(
        abs_rel=((made - true).abs() / true).mean().item(),
        delta_103=(ratio < 1.03).double().mean().item(),
        delta_125=(ratio < 1.25).double().mean().item(),
    )


def _known(depth: Tensor) -> Tensor:
    return depth.isfinite() & (depth > 0)


def _median(values: Float[Tensor, " values"]) -> Float[Tensor, ""]:
    """Return the median, the mean of the middle two of an even number; nan of none."""
    ordered = values.sort().values
    middle = ordered[(len(values) - 1) // 2 : len(values) // 2 + 1] if len(values) else ordered
    return middle.mean()
