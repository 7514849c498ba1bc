"""The LightningModule: one step of training, one of validation, and what a checkpoint holds."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DeepSpeedStrategy, ModelParallelStrategy, ParallelStrategy
from torch import Tensor
from torch.distributed.tensor import DTensor

from fast3r.data.sample import Sample
from fast3r.data.steps import StepLoader, dice_at
from fast3r.models.config_files import write_config
from fast3r.models.fast3r import Fast3R
from fast3r.models.prediction import in_order
from fast3r.models.weight_files import TRAINING_CONFIG
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.run import reconstruct
from fast3r.training.config import TrainingConfig
from fast3r.training.feed import TrainingFeed, first_scenes, validation_samples
from fast3r.training.objective import Objective
from fast3r.training.optimizers import make_optimizers, rate_factor, set_rates
from fast3r.training.progress import Progress
from fast3r.training.sharding import shard
from fast3r.training.validation import Validation
from fast3r.views.view import View


@dataclass(frozen=True)
class Wishes:
    """What is to happen after this step; all processes do what any of them wishes."""

    save: bool = False
    """Write a checkpoint."""

    stop: bool = False
    """Write a checkpoint and leave at once."""

    pause: bool = False
    """Write a checkpoint and leave, with a last validation."""


@dataclass(frozen=True)
class StepRecord:
    """What is known of a step on the host."""

    figures: dict[str, float]
    """Terms and errors, the mean over devices, and the norm of the gradient."""

    views: int
    """Photos that this device saw."""

    rates: dict[str, float]
    """Learning rate of each optimiser."""


class TrainingModule(LightningModule):
    """A network on its way.

    The host reads the device once a step: losses, the gradient's norm and what the processes
    wish come over together.
    """

    def __init__(self, config: TrainingConfig, model: Fast3R) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config = config
        self.model = model
        self.objective = Objective(config.loss, model)
        self.progress = Progress(config.steps, config.minutes)
        self.wishes = Wishes()
        self.record: StepRecord | None = None
        self.validation = Validation(config.validation.pictures)
        self._feed: TrainingFeed | None = None
        self._updates: dict[str, torch.optim.Optimizer] = {}
        self._figures: list[dict[str, Tensor]] = []
        self._views = 0
        if config.hardware.gradient_checkpointing:
            model.set_gradient_checkpointing(config.hardware.gradient_checkpointing)
        if config.hardware.compile:
            model.compile_blocks()

    def reconstruct(self, views: list[View], **options: Any) -> Reconstruction:
        """Return cameras and depth of photos by the weights as they are; see that function."""
        was_training = self.model.training
        try:
            return reconstruct(views, self.model.eval(), **options)
        finally:
            self.model.train(was_training)

    @property
    def feed(self) -> TrainingFeed:
        """The samples that it is trained on."""
        assert self._feed is not None
        return self._feed

    def train_dataloader(self) -> TrainingFeed:
        """Open the data where the run stands."""
        self._feed = TrainingFeed(
            self.config, self.progress, rank=self.global_rank, device=self.device
        )
        return self._feed

    def val_dataloader(self) -> StepLoader:
        """Return the samples of a validation."""
        return validation_samples(self.config, rank=self.global_rank, device=self.device)

    def teardown(self, stage: str) -> None:
        """End the processes that make samples."""
        if self._feed is not None:
            self._feed.close()

    def configure_model(self) -> None:
        """Share the weights out over the devices, where the strategy is to."""
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            assert self.device_mesh is not None
            shard(self.model, self.objective, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the optimisers."""
        self._updates = make_optimizers(
            self.config.optimizer,
            self.model,
            self.objective.parameters(),
            fused=self.device.type == "cuda",
        )
        return list(self._updates.values())

    def transfer_batch_to_device(
        self, batch: Sample, device: torch.device, dataloader_idx: int
    ) -> Sample:
        """Return the sample where the network is."""
        return batch.to(device)

    def on_train_batch_start(self, batch: Sample, batch_idx: int) -> None:
        """Make whatever is random a function of the place in the run."""
        place = self.progress.step * self.config.accumulate + batch_idx % self.config.accumulate
        torch.manual_seed(_mixed(self.config.seed, place, self.global_rank))

    def training_step(self, batch: Sample, batch_idx: int) -> None:
        """Add the gradients of a sample, and update the weights when those of all are there."""
        progress, accumulate = self.progress, self.config.accumulate
        place = batch_idx % accumulate
        last = place == accumulate - 1
        terms = self.objective(
            self.model,
            batch,
            share=progress.share,
            seed=_mixed(self.config.seed, progress.step * accumulate + place, self.global_rank),
            half_precision=self.config.hardware.precision == "bfloat16",
            half_precision_heads=self.config.hardware.half_precision_heads,
        )
        with nullcontext() if last else self._alone():
            self.manual_backward(terms.total / accumulate)
        self._figures.append(terms.figures)
        self._views += batch.images.shape[0] * batch.images.shape[1]
        self.record = self._update() if last else None

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        """Measure the network as users run it: poses, focal lengths and depth of whole scenes."""
        sample = first_scenes(batch, self.config.validation.scenes)
        half_precision = self.config.hardware.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half_precision):
            tokens = self.model.tokens(sample.images)
        predictions = in_order(self.model.predict(tokens))
        self.validation.add(predictions, sample, self.objective.on_pointmaps(predictions, sample))

    def on_validation_start(self) -> None:
        """Forget the last validation."""
        self.validation = Validation(self.config.validation.pictures)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a run needs to go on, and what a model needs to be loaded without it.

        The state of Lightning's loops is left out: where a run stands is in `progress` alone.
        """
        checkpoint.pop("loops", None)
        checkpoint["progress"] = self.progress.state()
        checkpoint[TRAINING_CONFIG] = write_config(self.model.config)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from where the checkpoint was written."""
        self.progress.restore(checkpoint["progress"])

    def _update(self) -> StepRecord:
        factor = rate_factor(
            self.progress.share,
            warmup=self.config.optimizer.warmup,
            end=self.config.optimizer.end,
            tick=self.progress.tick,
        )
        rates = set_rates(self._updates, factor)
        norm = self._clip()
        figures = self._read(norm)
        if figures["gradient_norm"] < float("inf"):
            for optimizer in self._optimizers():
                optimizer.step()
        else:
            self.progress.skipped += 1
        for optimizer in self._optimizers():
            optimizer.zero_grad()
        self.progress.step += 1
        record = StepRecord(figures, self._views, rates)
        self._figures, self._views = [], 0
        return record

    def _clip(self) -> Tensor:
        """Return the norm of the gradient, which is then no longer than it may be."""
        if isinstance(self.trainer.strategy, DeepSpeedStrategy):
            return torch.zeros((), device=self.device)  # its engine clips, and keeps the norm
        longest = self.config.optimizer.clip_norm
        parameters = [p for p in self.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(parameters, longest or float("inf"))
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def _read(self, norm: Tensor) -> dict[str, float]:
        """Return the figures on the host, the mean over devices: the one time a step it waits.

        With them travels what the processes have to agree on: to save, to stop, the clock.
        """
        names = list(self._figures[0])
        means = [torch.stack([f[n] for f in self._figures]).mean() for n in names]
        wishes = self.wishes
        mine = [wishes.save, wishes.stop, wishes.pause, self.progress.clock_s()]
        reading = torch.stack([norm, *means]).float()
        control = torch.tensor(mine, dtype=torch.float32).to(reading.device, non_blocking=True)
        reading = torch.cat((reading, control))
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(reading)
            reading /= self.trainer.world_size
        gradient_norm, *figures, save, stop, pause, clock_s = reading.tolist()
        self.wishes = Wishes(save > 0, stop > 0, pause > 0)
        self.progress.spent_s = clock_s
        return dict(zip(names, figures, strict=True)) | {"gradient_norm": gradient_norm}

    def _optimizers(self) -> list[LightningOptimizer]:
        found = self.optimizers()
        return found if isinstance(found, list) else [found]  # pyright: ignore[reportReturnType]

    def _alone(self) -> AbstractContextManager[None]:
        """Keep gradients on this device until those of the last sample are there."""
        strategy = self.trainer.strategy
        alone = isinstance(strategy, ParallelStrategy)
        return strategy.block_backward_sync() if alone else nullcontext()


def _mixed(*place: int) -> int:
    """Return a seed that has nothing to do with that of another place."""
    return int(dice_at(*place).integers(2**63))
