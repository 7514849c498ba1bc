"""Losses on pointmaps: confidence-weighted regression as in the paper, and a term for poses."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.data.sample import Sample, frame_points
from fast3r.geometry.cameras import invert_rigid
from fast3r.models.prediction import Pointmap, Prediction


@dataclass(frozen=True)
class Terms:
    """The loss of one sample."""

    total: Float[Tensor, ""]
    """What is minimised: every term times its weight."""

    figures: dict[str, Float[Tensor, ""]]
    """Each term without its weight, and the errors behind them; detached. Equal names always."""


def mean_distance(
    points: Float[Tensor, "batch views height width 3"],
    valid: Bool[Tensor, "batch views height width"],
    *,
    per_view: bool,
) -> Float[Tensor, "batch _"]:
    """Return the mean distance of the valid points from the origin; 1 where there is none."""
    axes = (2, 3) if per_view else (1, 2, 3)
    # The masked distance is taken of a constant, so that no gradient is 0/0 at the origin.
    safe = torch.where(valid[..., None], points, torch.ones_like(points))
    total = (safe.norm(dim=-1) * valid).sum(dim=axes)
    count = valid.sum(dim=axes)
    mean = torch.where(count > 0, total / count.clamp(min=1), torch.ones_like(total))
    mean = mean.clamp(min=1e-8)
    return mean if per_view else mean[:, None]


@dataclass(frozen=True)
class PointmapLoss:
    """Normalised regression weighted by confidence (Fast3R, equations 3 to 5).

    Predictions and truth are divided by their own mean distance from the origin: jointly over
    the views of a sample for the world map, view by view for the local map. The confidence is
    learned through `c * error - alpha * log c`.
    """

    alpha: float = 0.2
    """Weight of the logarithm that keeps confidences from falling."""

    def view_terms(
        self,
        pointmap: Pointmap,
        truth: Float[Tensor, "batch views height width 3"],
        valid: Bool[Tensor, "batch views height width"],
        *,
        per_view: bool,
    ) -> tuple[Float[Tensor, " views"], Float[Tensor, " views"]]:
        """Return for each view the weighted loss and the plain relative error, 0 where empty."""
        made = pointmap.points
        made = made / mean_distance(made, valid, per_view=per_view)[..., None, None, None]
        true = truth / mean_distance(truth, valid, per_view=per_view)[..., None, None, None]
        gap = torch.where(valid[..., None], made - true, torch.ones_like(made))
        error = gap.norm(dim=-1)
        conf = pointmap.confidence
        weighted = conf * error - self.alpha * conf.log()
        count = valid.sum(dim=(0, 2, 3)).clamp(min=1)
        loss = torch.where(valid, weighted, torch.zeros_like(weighted)).sum(dim=(0, 2, 3)) / count
        plain = (error * valid).sum(dim=(0, 2, 3)) / count
        return loss, plain.detach()

    def __call__(self, predictions: list[Prediction], sample: Sample) -> Terms:
        """Return the loss of a batch: the mean over views and heads."""
        world = stacked([p.world for p in predictions])
        target = frame_points(sample.points, sample.world_from_camera[:, :1])
        loss, error = self.view_terms(world, target, sample.valid, per_view=False)
        total = loss.mean()
        figures = {"world_loss": total, "world_error": error.mean()}
        maps = [p.local for p in predictions if p.local is not None]
        if maps:
            target = frame_points(sample.points, sample.world_from_camera)
            loss, error = self.view_terms(stacked(maps), target, sample.valid, per_view=True)
            total = (total + loss.mean()) / 2
            figures |= {"local_loss": loss.mean(), "local_error": error.mean()}
        figures = {"pointmap": total, **figures}
        return Terms(total, {name: value.detach() for name, value in figures.items()})


def pose_consistency(
    loss: PointmapLoss, predictions: list[Prediction], sample: Sample
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the loss of the world map against the local map moved by the true pose, and its error.

    Both maps share the errors of their depth, so what is left is the error of the pose. Against
    the true points it is drowned in that of the depth, which is why poses are learned late. The
    local map is a constant here, scaled to the truth view by view.
    """
    maps = [p.local for p in predictions if p.local is not None]
    local = stacked(maps).points.detach().float()
    true = frame_points(sample.points, sample.world_from_camera)
    scale = mean_distance(true, sample.valid, per_view=True)
    scale = scale / mean_distance(local, sample.valid, per_view=True)
    pose = invert_rigid(sample.world_from_camera[:, :1]) @ sample.world_from_camera
    target = torch.einsum(
        "bnij,bnhwj->bnhwi", pose[..., :3, :3], local * scale[..., None, None, None]
    )
    target = target + pose[:, :, None, None, :3, 3]
    world = stacked([p.world for p in predictions])
    terms, error = loss.view_terms(world, target, sample.valid, per_view=False)
    return terms.mean(), error.mean()


def stacked(pointmaps: list[Pointmap]) -> Pointmap:
    """Return one pointmap (B, N, H, W) of those of N views."""
    points = torch.stack([p.points for p in pointmaps], dim=1)
    return Pointmap(points, torch.stack([p.confidence for p in pointmaps], dim=1))
