"""Losses: the paper's confidence-weighted pointmap regression, and matching as a helper.

Shapes: B batch, N views, P patches of a view.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fast3r.data.sample import Sample, frame_points
from fast3r.geometry.cameras import invert_rigid
from fast3r.models.prediction import Pointmap, Prediction


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

    def __call__(self, predictions: list[Prediction], sample: Sample) -> "LossTerms":
        """Return the loss of a batch: the mean over views and heads."""
        world = stacked([p.world for p in predictions])
        target = frame_points(sample.points, sample.world_from_camera[:, :1])
        world_loss, world_error = self.view_terms(world, target, sample.valid, per_view=False)
        maps = [p.local for p in predictions if p.local is not None]
        if not maps:
            return LossTerms(world_loss.mean(), world_error.mean(), None)
        target = frame_points(sample.points, sample.world_from_camera)
        local_loss, local_error = self.view_terms(
            stacked(maps), target, sample.valid, per_view=True
        )
        total = (world_loss.mean() + local_loss.mean()) / 2
        return LossTerms(total, world_error.mean(), local_error.mean())


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


@dataclass(frozen=True)
class LossTerms:
    """One step's loss and the errors behind it."""

    total: Float[Tensor, ""]
    """What is minimised."""

    world_error: Float[Tensor, ""]
    """Mean error of the world map over the mean distance; detached."""

    local_error: Float[Tensor, ""] | None
    """The same of the local map."""


def stacked(pointmaps: list[Pointmap]) -> Pointmap:
    """Return one pointmap (B, N, H, W) of those of N views."""
    points = torch.stack([p.points for p in pointmaps], dim=1)
    return Pointmap(points, torch.stack([p.confidence for p in pointmaps], dim=1))


@dataclass(frozen=True)
class Matches:
    """Which patch of a second view sees the point at the centre of each patch of a first."""

    target: Int[Tensor, "batch pairs patches"]
    """Index of the patch in the second view; -1 where the point is not seen."""

    pairs: list[tuple[int, int]]
    """First and second view of each pair."""


def true_matches(sample: Sample, patch: int, pairs: list[tuple[int, int]]) -> Matches:
    """Return the true matches between patches, by projection and a test for occlusion."""
    half = patch // 2
    centres = sample.points[:, :, half::patch, half::patch]
    seen = sample.valid[:, :, half::patch, half::patch]
    first = torch.tensor([a for a, _ in pairs], device=centres.device)
    second = torch.tensor([b for _, b in pairs], device=centres.device)
    height, width = sample.valid.shape[2:]
    points = centres[:, first].flatten(2, 3)  # (B, pairs, P, 3)
    pose = sample.world_from_camera[:, second]
    inside = torch.einsum("bpni,bpij->bpnj", points - pose[..., None, :3, 3], pose[..., :3, :3])
    depth = inside[..., 2].clamp(min=1e-6)
    pixels = torch.einsum("bpij,bpnj->bpni", sample.intrinsics[:, second], inside)
    pixels = pixels[..., :2] / depth[..., None]
    column, row = pixels.floor().long().unbind(-1)
    in_image = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = column.clamp(0, width - 1), row.clamp(0, height - 1)
    place = row * width + column
    there = sample.points[:, second].flatten(2, 3)
    hit = there.gather(2, place[..., None].expand(-1, -1, -1, 3))
    near = (hit - points).norm(dim=-1) < 0.03 * depth
    ok = in_image & near & (inside[..., 2] > 0) & seen[:, first].flatten(2)
    patch_index = (row // patch) * (width // patch) + column // patch
    return Matches(torch.where(ok, patch_index, -1), pairs)


def matching_entropy(
    logits: Float[Tensor, "batch pairs patches patches"], matches: Matches
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the cross-entropy of the true matches, and the share of best guesses that are true."""
    known = matches.target >= 0
    count = known.sum().clamp(min=1)
    loss = F.cross_entropy(
        logits.float().flatten(0, 2),
        matches.target.flatten(),
        ignore_index=-1,
        reduction="sum",
    )
    right = (logits.argmax(dim=-1) == matches.target) & known
    return loss / count, right.sum() / count


def attention_entropy(
    qkv: Float[Tensor, "batch tokens width3"], heads: int, matches: Matches, views: int
) -> Float[Tensor, ""]:
    """Return how far the first head of an all-view block is from looking at the true matches.

    Args:
        qkv: Queries, keys and values of all tokens, as the block's projection gives them.
        heads: Number of heads in them.
        matches: Where the first head should look in the second view of each pair.
        views: Number of views that the tokens come from.
    """
    parts = qkv.unflatten(-1, (3, heads, -1))[:, :, :2, 0].unflatten(1, (views, -1))
    queries, keys = parts.unbind(dim=3)
    first = queries[:, [a for a, _ in matches.pairs]]
    second = keys[:, [b for _, b in matches.pairs]]
    logits = first @ second.transpose(-1, -2) / queries.shape[-1] ** 0.5
    return matching_entropy(logits, matches)[0]


class MatchingLoss(nn.Module):
    """Contrast between tokens that see the same point and those that do not (InfoNCE)."""

    def __init__(self, width: int, channels: int = 128) -> None:
        super().__init__()
        self.project = nn.Linear(width, channels)
        self.log_temperature = nn.Parameter(torch.tensor(0.07).log())

    def forward(
        self, tokens: Float[Tensor, "batch views patches width"], matches: Matches
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return the loss and the share of patches whose best match is the true one."""
        descriptors = F.normalize(self.project(tokens), dim=-1)
        first = descriptors[:, [a for a, _ in matches.pairs]]
        second = descriptors[:, [b for _, b in matches.pairs]]
        logits = (first @ second.transpose(-1, -2)).float() / self.log_temperature.exp()
        return matching_entropy(logits, matches)
