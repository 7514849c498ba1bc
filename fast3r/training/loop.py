"""Train a small Fast3R from scratch on procedural scenes, for a given time.

    python -m fast3r.training --output runs/small --minutes 20

The schedule follows the share of the time that is spent, not a number of steps, so that the
learning rate has always reached its end when the time is over. A run that was stopped goes on
from its last checkpoint with the same command.
"""

import json
import math
import time
from dataclasses import asdict

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fast3r.data.sample import Sample
from fast3r.evaluation.procedural import quick_score
from fast3r.models.config import SMALL, Fast3RConfig
from fast3r.models.fast3r import Fast3R, Tokens
from fast3r.models.layers import Block
from fast3r.training.config import TrainingConfig
from fast3r.training.losses import (
    LossTerms,
    Matches,
    MatchingLoss,
    PointmapLoss,
    attention_entropy,
    pose_consistency,
    true_matches,
)
from fast3r.training.scenes import SceneStream


class Trainer:
    """Model, losses, optimisers and where the run stands."""

    def __init__(self, config: TrainingConfig, shape: Fast3RConfig = SMALL) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = Fast3R(shape)
        self.matchers = nn.ModuleList(
            MatchingLoss(width) for width in (shape.encoder.width, shape.fusion.width)
        )
        if config.start is not None:
            saved = torch.load(config.start, map_location="cpu", weights_only=True)
            self.model.load_state_dict(saved["model"])
            self.matchers.load_state_dict(saved["matchers"])
        self.model.to(self.device)
        self.matchers.to(self.device)
        self.loss = PointmapLoss()
        self.optimizers = self._optimizers()
        self.step = 0
        self.spent_s = 0.0
        config.output.mkdir(parents=True, exist_ok=True)
        self._resume()
        self._watch_attention()
        if config.compile and self.device.type == "cuda":
            for block in [*self.model.encoder.blocks, *self.model.fusion.blocks]:
                block.compile(dynamic=True)

    def _watch_attention(self) -> None:
        """Keep the queries and keys of the first two all-view blocks, to supervise them."""
        self.watched: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], made: Tensor) -> None:
            self.watched.append(made)

        for block in list(self.model.fusion.blocks)[:4:2]:
            assert isinstance(block, Block)
            block.qkv.register_forward_hook(keep)

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        blocks = [*self.model.encoder.blocks, *self.model.fusion.blocks]
        matrices = [p for b in blocks for p in b.parameters() if p.ndim == 2]
        chosen = {id(p) for p in matrices}
        others = [
            p
            for p in [*self.model.parameters(), *self.matchers.parameters()]
            if id(p) not in chosen
        ]
        decay = self.config.weight_decay
        muon = torch.optim.Muon(matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        fused = self.device.type == "cuda"
        adam = torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0, fused=fused)
        return [muon, adam]

    @property
    def share(self) -> float:
        """Share of the run's time that is spent."""
        return self.spent_s / (60 * self.config.minutes)

    def train(self) -> None:
        """Train until the time is over, writing the log and checkpoints on the way."""
        begun, before, saved = time.monotonic(), self.spent_s, time.monotonic()
        scenes = SceneStream(self.config, self.device, self.step, begun - before)
        samples = iter(DataLoader(scenes, batch_size=None, num_workers=self.config.workers))
        log = (self.config.output / "log.jsonl").open("a")
        window: list[Tensor] = []
        views_seen, window_start = 0, time.monotonic()
        stop_s = 60 * self.config.stop_after_minutes
        while self.share < 1 and time.monotonic() - begun < stop_s:
            sample = next(samples)
            window.append(self.train_step(sample))
            views_seen += sample.images.shape[0] * sample.images.shape[1]
            self.step += 1
            if self.step % 25 == 0:
                record = self._record(window, views_seen / (time.monotonic() - window_start))
                window, views_seen, window_start = [], 0, time.monotonic()
                log.write(json.dumps(record) + "\n")
                log.flush()
                print(json.dumps(record), flush=True)
            if time.monotonic() - saved > 60:
                self.save()
                saved = time.monotonic()
            self.spent_s = before + time.monotonic() - begun
        self.save()

    def train_step(self, sample: Sample) -> Tensor:
        """Take one step; return the figures of the log as one tensor, without waiting for it."""
        self._set_rate()
        self.watched.clear()  # scoring runs the network too
        matches = self._matches(sample)  # geometry is not for half precision
        with torch.autocast(self.device.type, torch.bfloat16):
            tokens = self.model.tokens(sample.images, seed=self.step)
            predictions = dict(self.model.predict(tokens))
            matching, accuracy = self._matching(tokens, matches)
        in_order = [predictions[v] for v in sorted(predictions)]
        terms = self.loss(in_order, sample)
        pose_loss, pose_error = pose_consistency(self.loss, in_order, sample)
        weight = self.config.matching_weight * (1 - 0.9 * self.share)
        (terms.total + self.config.pose_weight * pose_loss + weight * matching).backward()
        parameters = [*self.model.parameters(), *self.matchers.parameters()]
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        if norm.isfinite():
            for optimizer in self.optimizers:
                optimizer.step()
        for parameter in parameters:
            parameter.grad = None
        return _figures(terms, pose_error, matching, accuracy, norm)

    def _matches(self, sample: Sample) -> Matches:
        views = sample.images.shape[1]
        pairs = [(v, (v + 1) % views) for v in range(views)]
        pairs += [(v, 0) for v in range(2, views)]
        return true_matches(sample, self.model.patch, pairs)

    def _matching(self, tokens: Tokens, matches: Matches) -> tuple[Tensor, Tensor]:
        views = len(tokens.layout.views)
        results = [
            matcher(level.unflatten(1, (views, -1)), matches)
            for matcher, level in zip(self.matchers, tokens.levels[:2], strict=True)
        ]
        heads = self.model.config.fusion.heads
        losses = [attention_entropy(qkv, heads, matches, views) for qkv in self.watched]
        losses += [loss for loss, _ in results]
        return torch.stack(losses).sum(), torch.stack([accuracy for _, accuracy in results])

    def _set_rate(self) -> None:
        rise = min(1.0, self.share / self.config.warmup)
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, self.share)))
        peaks = (self.config.learning_rate, self.config.other_learning_rate)
        for optimizer, peak in zip(self.optimizers, peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * max(rise, 1e-3) * max(fall, 1e-3)

    def _record(self, window: list[Tensor], views_per_s: float) -> dict[str, float]:
        mean = torch.stack(window).mean(dim=0).tolist()
        record = dict(zip(_FIGURES, mean, strict=True))
        if self.step % 250 == 0:
            record |= asdict(quick_score(self.model))
        record |= {"step": self.step, "share": self.share, "views_per_s": views_per_s}
        return {name: round(value, 4) for name, value in record.items()}

    def save(self) -> None:
        """Write a checkpoint that a later run can go on from."""
        state = {
            "model": self.model.state_dict(),
            "matchers": self.matchers.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "spent_s": self.spent_s,
        }
        part = self.config.output / "last.pt.part"
        torch.save(state, part)
        part.replace(self.config.output / "last.pt")

    def _resume(self) -> None:
        path = self.config.output / "last.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.matchers.load_state_dict(state["matchers"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.spent_s = state["step"], state["spent_s"]


_FIGURES = (
    "loss",
    "world_error",
    "local_error",
    "pose_error",
    "matching_loss",
    "encoder_matches",
    "fusion_matches",
    "gradient_norm",
)


def _figures(
    terms: LossTerms, pose_error: Tensor, matching: Tensor, accuracy: Tensor, norm: Tensor
) -> Tensor:
    local = terms.world_error if terms.local_error is None else terms.local_error
    values = [terms.total, terms.world_error, local, pose_error, matching, *accuracy, norm]
    return torch.stack([value.detach().float() for value in values])
