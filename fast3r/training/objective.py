"""What a run minimises: the pointmap loss, and named terms that each have a weight."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fast3r.data.sample import Sample, frame_points
from fast3r.models.fast3r import Fast3R, Tokens
from fast3r.models.layers import Block
from fast3r.models.prediction import Prediction, in_order
from fast3r.training.config import LossConfig
from fast3r.training.losses import PointmapLoss, Terms, pose_consistency, stacked
from fast3r.training.matching import (
    Matches,
    MatchingLoss,
    attention_entropy,
    chain,
    patch_match_loss,
    true_matches,
)
from fast3r.training.normals import normal_error


class Objective(nn.Module):
    """Runs the network on samples and adds up the terms."""

    def __init__(self, config: LossConfig, model: Fast3R) -> None:
        """Prepare the terms that have a weight.

        Raises:
            ValueError: A term needs what the model does not have.
        """
        super().__init__()
        if not model.config.head.local and config.pose_consistency > 0:
            raise ValueError("loss.pose_consistency needs a model with model.head.local=true")
        if not model.config.head.matches and config.patch_matches > 0:
            raise ValueError("loss.patch_matches needs a model with model.head.matches=true")
        self.config = config
        self.pointmaps = PointmapLoss(config.alpha)
        widths = (model.config.encoder.width, model.config.fusion.width)
        self.matchers = nn.ModuleList(map(MatchingLoss, widths) if config.matching > 0 else [])
        self._attention = _AttentionWatch(model) if config.attention > 0 else None

    def forward(
        self,
        model: Fast3R,
        sample: Sample,
        *,
        share: float,
        seed: int,
        half_precision: bool,
        half_precision_heads: bool = False,
    ) -> Terms:
        """Return the loss of a sample.

        Args:
            model: The network, in training mode.
            sample: On the network's device.
            share: Of the run that is done: the terms on matches fade.
            seed: Of the view indices.
            half_precision: Whether encoder and fusion compute in bfloat16.
            half_precision_heads: Whether the heads do where these do.
        """
        config = self.config
        matched = max(config.matching, config.attention, config.patch_matches) > 0
        pairs = chain(sample.images.shape[1], sample.points.device)
        # Geometry is not for half precision, and no gradient flows through it.
        matches = true_matches(sample, model.patch, pairs) if matched else None
        in_bfloat16 = partial(torch.autocast, sample.images.device.type, torch.bfloat16)
        with in_bfloat16(enabled=half_precision):
            with nullcontext() if self._attention is None else self._attention.listening():
                tokens = model.tokens(sample.images, seed=seed)
            on_tokens = Terms(torch.zeros((), device=sample.points.device), {})
            if matches is not None:
                on_tokens = self._on_tokens(tokens, matches)
        with in_bfloat16(enabled=half_precision and half_precision_heads):
            predictions = in_order(model.predict(tokens))
        on_maps = self.on_pointmaps(predictions, sample)
        fading = 1 - (1 - config.matches_left) * share
        total = on_maps.total + fading * on_tokens.total
        figures = {**on_maps.figures, **on_tokens.figures}
        if matches is not None and config.patch_matches > 0:
            features = torch.stack([_features(p) for p in predictions], dim=1)
            loss, found = patch_match_loss(features, matches)
            total = total + config.patch_matches * loss
            figures |= {name: value.detach() for name, value in found.items()}
        return Terms(total, {"loss": total.detach(), **figures})

    def on_pointmaps(self, predictions: list[Prediction], sample: Sample) -> Terms:
        """Return the terms on what the heads made."""
        config = self.config
        terms = self.pointmaps(predictions, sample)
        total, figures = terms.total, dict(terms.figures)
        if config.pose_consistency > 0:
            loss, error = pose_consistency(self.pointmaps, predictions, sample)
            total = total + config.pose_consistency * loss
            figures |= {"pose_consistency": loss, "pose_error": error}
        if config.normals > 0:
            error = _normals(predictions, sample)
            total = total + config.normals * error
            figures["normals"] = error
        return Terms(total, {name: value.detach() for name, value in figures.items()})

    def _on_tokens(self, tokens: Tokens, matches: Matches) -> Terms:
        views = len(tokens.layout.views)
        total = torch.zeros((), device=matches.target.device)
        figures: dict[str, Tensor] = {}
        if self._attention is not None:
            loss = self._attention.loss(matches, views)
            total, figures["attention"] = total + self.config.attention * loss, loss
        if self.matchers:
            found = [
                matcher(level.unflatten(1, (views, -1)), matches)
                for matcher, level in zip(self.matchers, tokens.levels[:2], strict=True)
            ]
            loss = torch.stack([loss for loss, _ in found]).sum()
            total, figures["matching"] = total + self.config.matching * loss, loss
            figures["encoder_matches"], figures["fusion_matches"] = (share for _, share in found)
        return Terms(total, {name: value.detach() for name, value in figures.items()})


class _AttentionWatch:
    """Keeps the queries and keys of the first two all-view blocks, to supervise them."""

    def __init__(self, model: Fast3R) -> None:
        config = model.config.fusion
        self._heads = config.heads
        self._seen: list[Tensor] = []
        self._listens = False
        blocks = list(model.fusion.blocks)[:: 2 if config.alternate else 1][:2]
        for block in blocks:
            assert isinstance(block, Block)
            block.qkv.register_forward_hook(self._keep)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep what is made inside, but not when gradient checkpointing makes it again later."""
        self._seen, self._listens = [], True
        try:
            yield
        finally:
            self._listens = False

    def loss(self, matches: Matches, views: int) -> Float[Tensor, ""]:
        """Return how far both blocks are from looking at the true matches, and forget them."""
        seen, self._seen = self._seen, []
        return torch.stack([attention_entropy(x, self._heads, matches, views) for x in seen]).sum()

    def _keep(self, _module: nn.Module, _inputs: tuple[Tensor, ...], made: Tensor) -> None:
        if self._listens:
            self._seen.append(made)


def _features(prediction: Prediction) -> Float[Tensor, "batch patches features"]:
    assert prediction.patches is not None
    return prediction.patches


def _normals(predictions: list[Prediction], sample: Sample) -> Float[Tensor, ""]:
    """Return the error of the normals of the local maps, or of the world maps without those."""
    maps = stacked([p.world if p.local is None else p.local for p in predictions])
    local = predictions[0].local is not None
    frames = sample.world_from_camera if local else sample.world_from_camera[:, :1]
    return normal_error(maps.points, frame_points(sample.points, frames), sample.valid)
