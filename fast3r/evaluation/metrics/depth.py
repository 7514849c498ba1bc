"""Errors of depth maps. A depth of 0 means unknown, in truth and in the prediction."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import in_double

DepthScaling = Literal["none", "median", "least_squares", "scale_and_shift"]
"""What is forgiven: nothing; a factor, the ratio of medians (Zhou et al., 2017) or the one of least
squared error; a factor and an offset of least squared error (Ranftl et al., 2020, on depth)."""


# The rounding of float32, squared.
_FLAT = 1e-13


@dataclass(frozen=True)
class DepthErrors:
    """Over the pixels whose true depth is known; all nan where there are none.

    A pixel without a prediction counts as depth 0, hence as a relative error of 1 and as an
    outlier; only `log_rmse` cannot count it.
    """

    abs_rel: float
    """Mean of |error| / truth (AbsRel)."""

    sq_rel: float
    """Mean of error² / truth (SqRel), in units of depth."""

    rmse: float
    """Root mean square error, in units of depth."""

    log_rmse: float
    """Root mean square error of the natural logarithm, over pixels with a positive prediction."""

    delta_103: float
    """Share of pixels whose larger ratio of the two depths is below 1.03, in [0, 1].

    It is the inlier ratio of the RobustMVD benchmark.
    """

    delta_105: float
    """Share below 1.05."""

    delta_110: float
    """Share below 1.10."""

    delta_125: float
    """Share below 1.25 (δ1)."""

    delta_125_2: float
    """Share below 1.25² (δ2)."""

    delta_125_3: float
    """Share below 1.25³ (δ3)."""

    known: float
    """Share of pixels with a positive prediction."""


class DepthFit(NamedTuple):
    """What turns predicted depth into true depth best."""

    scale: float
    """Factor; nan where nothing determines it."""

    shift: float
    """Offset, in units of true depth."""


def score_depth(
    predicted: Sequence[Float[Tensor, "_ _"]],
    truth: Sequence[Float[Tensor, "_ _"]],
    *,
    scaling: DepthScaling = "median",
    shared: bool = False,
) -> list[DepthErrors]:
    """Return the errors of each view, after its depth was scaled.

    Args:
        predicted: Depth of each view, 0 where unknown.
        truth: Of the same sizes.
        scaling: What is forgiven.
        shared: Whether all views have one scale and shift, or each its own.
    """
    made = [depth.flatten() for depth in predicted]
    true = [depth.flatten() for depth in truth]
    if shared:
        fits = [fit_depth(torch.cat(made), torch.cat(true), scaling)] * len(true)
    else:
        fits = [fit_depth(m, t, scaling) for m, t in zip(made, true, strict=True)]
    return [
        depth_errors(scale_depth(m, fit), t) for m, t, fit in zip(made, true, fits, strict=True)
    ]


def fit_depth(
    predicted: Float[Tensor, " pixels"], truth: Float[Tensor, " pixels"], scaling: DepthScaling
) -> DepthFit:
    """Return the scale and shift that bring known predicted depths closest to known true ones."""
    if scaling == "none":
        return DepthFit(1.0, 0.0)
    both = _known(predicted) & _known(truth)
    made, true = in_double(predicted[both]), in_double(truth[both])
    if scaling == "median":
        return DepthFit((_median(true) / _median(made)).item(), 0.0)
    if scaling == "least_squares":
        return DepthFit(((made @ true) / (made @ made)).item(), 0.0)
    centred = made - made.mean()
    spread = centred @ centred
    # Of a flat prediction the offset is all that can be fitted.
    flat = spread <= _FLAT * (made @ made)
    slope = ((centred @ true) / spread).where(~flat, 0)
    return DepthFit(slope.item(), (true.mean() - slope * made.mean()).item())


def scale_depth(predicted: Float[Tensor, "*pixels"], fit: DepthFit) -> Float[Tensor, "*pixels"]:
    """Return depth after a fit; 0 where it was unknown, everywhere if the fit is not determined."""
    scaled = predicted * fit.scale + fit.shift
    return scaled.where(_known(predicted) & scaled.isfinite(), 0)


def depth_errors(
    predicted: Float[Tensor, " pixels"], truth: Float[Tensor, " pixels"]
) -> DepthErrors:
    """Return the errors of depth as it is, over the pixels whose truth is known."""
    known = _known(truth)
    made, true = in_double(predicted[known]), in_double(truth[known])
    made = made.where(made.isfinite(), 0)
    error, positive = made - true, made > 0
    ratio = torch.maximum(made / true, true / made).where(positive, torch.inf)
    log_error = (made[positive] / true[positive]).log()
    limits = (1.03, 1.05, 1.10, 1.25, 1.25**2, 1.25**3)
    return DepthErrors(
        (error.abs() / true).mean().item(),
        (error.square() / true).mean().item(),
        error.square().mean().sqrt().item(),
        log_error.square().mean().sqrt().item(),
        *((ratio < limit).double().mean().item() for limit in limits),
        known=positive.double().mean().item(),
    )


def mean_depth_errors(errors: Sequence[DepthErrors]) -> DepthErrors:
    """Return the mean over views, each counting the same; views where a figure is nan do not."""
    rows = torch.tensor([astuple(error) for error in errors], dtype=torch.float64)
    return DepthErrors(*rows.reshape(-1, len(fields(DepthErrors))).nanmean(dim=0).tolist())


def _known(depth: Tensor) -> Tensor:
    return depth.isfinite() & (depth > 0)


def _median(values: Float[Tensor, " values"]) -> Float[Tensor, ""]:
    """Return the median, the mean of the middle two of an even number; nan of none."""
    ordered = values.sort().values
    middle = ordered[(len(values) - 1) // 2 : len(values) // 2 + 1] if len(values) else ordered
    return middle.mean()
