"""Losses on matches: which patches of two views see the same point, for tokens and attention.

Shapes: B batch, P patches of a view.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fast3r.data.sample import Sample
from fast3r.models.matching import TEMPERATURE, cosines, places, with_none

_PLACE_WEIGHT = 4.0
"""Of an error of one patch, against the entropy: a guess at the centre has 0.38."""


def chain(views: int, device: torch.device) -> Int[Tensor, "2 pairs"]:
    """Return each view with the next one, the last with the first, and later ones with the first.

    A number of pairs that grows with the views, not with their square; made on the device that
    uses them, since copying lists would wait.
    """
    every = torch.arange(views, device=device)
    later = every[2:]
    first = torch.cat((every, later))
    return torch.stack((first, torch.cat((every.roll(-1), torch.zeros_like(later)))))


@dataclass(frozen=True)
class Matches:
    """Which patch of a second view sees the point at the centre of each patch of a first."""

    target: Int[Tensor, "batch pairs patches"]
    """Index of the patch in the second view; -1 where the point is not seen."""

    offset: Float[Tensor, "batch pairs patches 2"]
    """Where the point is from the centre of that patch: column and row, in patches."""

    known: Bool[Tensor, "batch pairs patches"]
    """Whether the first view has a point there at all."""

    pairs: Int[Tensor, "2 pairs"]
    """First and second view of each pair."""


def true_matches(sample: Sample, patch: int, pairs: Int[Tensor, "2 pairs"]) -> Matches:
    """Return the true matches between patches, by projection and a test for occlusion."""
    half = patch // 2
    centres = sample.points[:, :, half::patch, half::patch]
    seen = sample.valid[:, :, half::patch, half::patch]
    first, second = pairs
    height, width = sample.valid.shape[2:]
    points = centres[:, first].flatten(2, 3)  # (B, pairs, P, 3)
    pose = sample.world_from_camera[:, second]
    inside = torch.einsum("bpni,bpij->bpnj", points - pose[..., None, :3, 3], pose[..., :3, :3])
    depth = inside[..., 2].clamp(min=1e-6)
    pixels = torch.einsum("bpij,bpnj->bpni", sample.intrinsics[:, second], inside)
    pixels = pixels[..., :2] / depth[..., None]
    place = pixels / patch
    column, row = pixels.floor().long().unbind(-1)
    in_image = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = column.clamp(0, width - 1), row.clamp(0, height - 1)
    pixel = row * width + column
    there = sample.points[:, second].flatten(2, 3)
    hit = there.gather(2, pixel[..., None].expand(-1, -1, -1, 3))
    near = (hit - points).norm(dim=-1) < 0.03 * depth
    known = seen[:, first].flatten(2)
    ok = in_image & near & (inside[..., 2] > 0) & known
    row, column = row // patch, column // patch
    centre = torch.stack((column, row), dim=-1) + (half + 0.5) / patch
    return Matches(
        target=torch.where(ok, row * (width // patch) + column, -1),
        offset=(place - centre).where(ok[..., None], 0),
        known=known,
        pairs=pairs,
    )


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
    first, second = matches.pairs
    logits = queries[:, first] @ keys[:, second].transpose(-1, -2) / queries.shape[-1] ** 0.5
    return matching_entropy(logits, matches)[0]


class MatchingLoss(nn.Module):
    """Contrast between tokens that see the same point and those that do not (InfoNCE)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 128)
        self.log_temperature = nn.Parameter(torch.tensor([0.07]).log())

    def forward(
        self, tokens: Float[Tensor, "batch views patches width"], matches: Matches
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return the loss and the share of patches whose best match is the true one."""
        descriptors = F.normalize(self.project(tokens), dim=-1)
        first, second = matches.pairs
        alike = descriptors[:, first] @ descriptors[:, second].transpose(-1, -2)
        logits = alike.float() / self.log_temperature.exp()
        return matching_entropy(logits, matches)


def patch_match_loss(
    features: Float[Tensor, "batch views patches features"], matches: Matches
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """Return the loss of the head of matches, and its figures.

    The cross-entropy of the true match, or of none where the point is not seen, and the distance
    of the place inside the patch, in patches.
    """
    first, second = (features[:, side] for side in matches.pairs)
    logits = with_none(cosines(first, second) / TEMPERATURE)
    seen = matches.target >= 0
    target = matches.target.where(seen, logits.shape[-1] - 1)
    entropy = F.cross_entropy(
        logits.flatten(0, 2),
        target.where(matches.known, -1).flatten(),
        ignore_index=-1,
        reduction="sum",
    )
    entropy = entropy / matches.known.sum().clamp(min=1)
    chosen = matches.target.clamp(min=0)[..., None].expand(*target.shape, features.shape[-1])
    error = (places(first, second.gather(-2, chosen)) - matches.offset).norm(dim=-1)
    place = error.where(seen, 0).sum() / seen.sum().clamp(min=1)
    right = (logits.argmax(dim=-1) == target) & matches.known
    figures = {
        "patch_matches": entropy,
        "patch_place": place,
        "patch_accuracy": right.sum() / matches.known.sum().clamp(min=1),
    }
    return entropy + _PLACE_WEIGHT * place, figures
