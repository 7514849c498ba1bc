"""Errors of point clouds against a true surface that is given as points.

Both clouds lie in one frame and unit. "Accuracy" is the distance of predicted points from the
truth, "completeness" that of true points from the prediction; smaller is better for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fast3r.evaluation.metrics.neighbours import Neighbours
from fast3r.geometry.transforms import in_double

# Bounds memory: each point has some kB while its normal is estimated.
_NORMALS_AT_ONCE = 65536
# The point itself and the nearest others, as by default in Open3D.
_NEIGHBOURS = 30


@dataclass(frozen=True)
class CloudDistances:
    """How far two clouds are from each other, point by point."""

    accuracy: Float[Tensor, " predicted"]
    """Distance of each predicted point to the nearest true one."""

    nearest_true: Int[Tensor, " predicted"]
    """Which that is."""

    completeness: Float[Tensor, " true"]
    """Distance of each true point to the nearest predicted one."""

    nearest_predicted: Int[Tensor, " true"]
    """Which that is."""


@dataclass(frozen=True)
class FScore:
    """Shares of points nearer than a threshold (Knapitsch et al., 2017), in [0, 1]."""

    threshold: float
    """In the unit of the points."""

    precision: float
    """Of the predicted points."""

    recall: float
    """Of the true points."""

    f_score: float
    """Harmonic mean of both; 0 where both are 0."""


@dataclass(frozen=True)
class CloudErrors:
    """A cloud against the truth, in the unit of the points."""

    accuracy: float
    """Mean."""

    accuracy_median: float
    """Median; the mean of the middle two of an even number."""

    completeness: float
    """Mean."""

    completeness_median: float
    """Median."""

    chamfer: float
    """Mean of accuracy and completeness ("overall" of DTU), not their sum."""

    accuracy_normals: float
    """Mean |cosine| between normals of predicted points and of their nearest true ones (NC1)."""

    accuracy_normals_median: float
    """Median of these."""

    completeness_normals: float
    """Mean |cosine| between normals of true points and of their nearest predicted ones (NC2)."""

    completeness_normals_median: float
    """Median of these."""

    f_scores: tuple[FScore, ...]
    """One a threshold."""

    @property
    def normals(self) -> float:
        """Normal consistency: the mean of both directions, in [0, 1]."""
        return (self.accuracy_normals + self.completeness_normals) / 2


def cloud_errors(
    predicted: Float[Tensor, "predicted 3"],
    truth: Float[Tensor, "true 3"],
    *,
    thresholds: Sequence[float] = (),
    threads: int = 1,
) -> CloudErrors:
    """Return the usual figures of a cloud.

    Args:
        predicted: Points; none at all give nan for distances and 0 for shares.
        truth: Points of the true surface.
        thresholds: Of F-scores, in the unit of the points.
        threads: For the search of neighbours; -1 for all cores.

    Raises:
        ImportError: Without SciPy.
        ValueError: A point is not finite, or there are no true points.
    """
    if len(truth) == 0:
        raise ValueError("the true cloud is empty: nothing to compare with")
    if len(predicted) == 0:
        return _nothing(thresholds)
    distances = cloud_distances(predicted, truth, threads=threads)
    along, back = normal_consistency(
        distances,
        estimate_normals(predicted, threads=threads),
        estimate_normals(truth, threads=threads),
    )
    accuracy, completeness = distances.accuracy, distances.completeness
    return CloudErrors(
        *_mean_and_median(accuracy),
        *_mean_and_median(completeness),
        ((accuracy.mean() + completeness.mean()) / 2).item(),
        *_mean_and_median(along),
        *_mean_and_median(back),
        tuple(f_score(distances, threshold) for threshold in thresholds),
    )


def cloud_distances(
    predicted: Float[Tensor, "predicted 3"], truth: Float[Tensor, "true 3"], *, threads: int = 1
) -> CloudDistances:
    """Return the nearest neighbour of each point in the other cloud.

    Raises:
        ImportError: Without SciPy.
        ValueError: A cloud is empty or a point is not finite.
    """
    return CloudDistances(
        *Neighbours(truth, threads=threads).nearest(predicted),
        *Neighbours(predicted, threads=threads).nearest(truth),
    )


def f_score(distances: CloudDistances, threshold: float) -> FScore:
    """Return the shares of points nearer than a threshold."""
    precision = (distances.accuracy < threshold).double().mean().item()
    recall = (distances.completeness < threshold).double().mean().item()
    both = precision + recall
    return FScore(threshold, precision, recall, 2 * precision * recall / both if both else 0.0)


def normal_consistency(
    distances: CloudDistances,
    predicted_normals: Float[Tensor, "predicted 3"],
    true_normals: Float[Tensor, "true 3"],
) -> tuple[Float[Tensor, " predicted"], Float[Tensor, " true"]]:
    """Return |cosine| between the unit normals of each point and of its nearest neighbour."""
    along = (predicted_normals * true_normals[distances.nearest_true]).sum(dim=-1)
    back = (true_normals * predicted_normals[distances.nearest_predicted]).sum(dim=-1)
    return along.abs(), back.abs()


def estimate_normals(
    points: Float[Tensor, "points 3"], *, threads: int = 1
) -> Float[Tensor, "points 3"]:
    """Return the unit normal of the plane through each point's neighbours, of either sign (PCA).

    Args:
        points: Of a surface; fewer than 3 have no normals, hence nan.
        threads: For the search; -1 for all cores.

    Raises:
        ImportError: Without SciPy.
        ValueError: A point is not finite.
    """
    if len(points) < 3:
        return torch.full_like(in_double(points), torch.nan)
    exact = in_double(points)
    tree = Neighbours(exact, threads=threads)
    count = min(_NEIGHBOURS, len(points))
    normals = []
    for some in exact.split(_NORMALS_AT_ONCE):
        around = exact[tree.nearest_few(some, count)[1]]
        centred = around - around.mean(dim=1, keepdim=True)
        normals.append(torch.linalg.eigh(centred.mT @ centred).eigenvectors[..., 0])
    return torch.cat(normals)


def _mean_and_median(values: Float[Tensor, " values"]) -> tuple[float, float]:
    ordered = values.sort().values
    middle = ordered[(len(values) - 1) // 2 : len(values) // 2 + 1]
    return values.mean().item(), middle.mean().item()


def _nothing(thresholds: Sequence[float]) -> CloudErrors:
    nan = float("nan")
    scores = tuple(FScore(threshold, 0.0, 0.0, 0.0) for threshold in thresholds)
    return CloudErrors(nan, nan, nan, nan, nan, 0.0, 0.0, 0.0, 0.0, scores)
