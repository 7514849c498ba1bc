"""What happens around the steps: saving, stopping, and writing the log."""

import os
import shutil
import time
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from fast3r.cluster.signals import Preempted, StopSignals
from fast3r.data.sample import Sample
from fast3r.training.config import TrainingConfig
from fast3r.training.log import Sink, open_sinks
from fast3r.training.module import StepRecord, TrainingModule, Wishes


def last_checkpoint(output: Path) -> Path:
    """Return where the newest state of a run is."""
    return output / "checkpoints" / "last.ckpt"


class Saving(Callback):
    """Writes checkpoints in time, at the end, and when someone asks the run to stop."""

    def __init__(self, config: TrainingConfig, signals: StopSignals) -> None:
        self._config = config
        self._signals = signals
        self._saved_s = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks."""
        self._signals.listen()  # Lightning has put its own handlers in place
        _ours(pl_module).progress.begin()
        self._saved_s = time.monotonic()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Sample, batch_idx: int
    ) -> None:
        """Say what this process wishes."""
        module = _ours(pl_module)
        due = time.monotonic() - self._saved_s > 60 * self._config.checkpoints.every_minutes
        late = module.progress.session_s() > 60 * self._config.stop_after_minutes
        told = self._signals.received is not None
        module.wishes = Wishes(save=due, stop=told, pause=late)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Sample,
        batch_idx: int,
    ) -> None:
        """Do what all processes agreed on.

        Raises:
            Preempted: The run is to stop before its end.
        """
        module = _ours(pl_module)
        if module.record is None:
            return
        progress, chosen = module.progress, self._config.checkpoints
        by_count = _divides(chosen.every_steps, progress.step)
        for_good = _divides(chosen.keep_every_steps, progress.step)
        if any((module.wishes != Wishes(), by_count, for_good, progress.done)):
            self._save(trainer, progress.step if for_good else None)
        if module.wishes.stop and not progress.done:
            raise Preempted(self._signals.received)
        if progress.done or module.wishes.pause:
            trainer.should_stop = True

    def _save(self, trainer: Trainer, keep_as: int | None) -> None:
        last = last_checkpoint(self._config.output)
        part = last.with_suffix(".part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, last)
            if keep_as is not None:
                shutil.copyfile(last, last.with_name(f"step-{keep_as:07}.ckpt"))
        self._saved_s = time.monotonic()


class Recording(Callback):
    """Writes the log: means over windows of steps, figures and pictures of validations."""

    def __init__(self, config: TrainingConfig, *, quiet: bool) -> None:
        self._config = config
        self._quiet = quiet
        self._sinks: list[Sink] = []
        self._window: list[StepRecord] = []
        self._begun = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the places to write to."""
        if trainer.is_global_zero:
            step = _ours(pl_module).progress.step
            self._sinks = open_sinks(
                self._config.log, self._config.output, first_step=step, quiet=self._quiet
            )
        self._window, self._begun = [], time.perf_counter()
        _ours(pl_module).feed.waited.take_s()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Sample,
        batch_idx: int,
    ) -> None:
        """Write the mean of a window of steps once it is full."""
        module = _ours(pl_module)
        if module.record is None:
            return
        self._window.append(module.record)
        if module.progress.step % self._config.log.every_steps == 0:
            self._write_window(trainer, module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was measured, and draw some scenes."""
        module = _ours(pl_module)
        step, found = module.progress.step, module.validation
        figures = _mean_over_devices(found.figures(), trainer.world_size)
        for sink in self._sinks:
            sink.figures("validation", step, figures)
            for place, drawn in enumerate(found.pictures):
                for name, picture in drawn.items():
                    sink.picture(f"validation-{place}/{name}", step, picture)
        self._window, self._begun = [], time.perf_counter()
        module.feed.waited.take_s()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write out what is left."""
        for sink in self._sinks:
            sink.close()
        self._sinks = []

    def _write_window(self, trainer: Trainer, module: TrainingModule) -> None:
        elapsed_s = time.perf_counter() - self._begun
        names = self._window[0].figures
        figures = {n: _mean([r.figures[n] for r in self._window]) for n in names}
        rates = {f"rate_{name}": rate for name, rate in self._window[-1].rates.items()}
        views = sum(record.views for record in self._window) * trainer.world_size
        figures |= rates | {
            "views_per_s": views / elapsed_s,
            "waiting": module.feed.waited.take_s() / elapsed_s,
            "skipped": module.progress.skipped,
            "share": module.progress.share,
            "spent_minutes": module.progress.spent_s / 60,
        }
        for sink in self._sinks:
            sink.figures("training", module.progress.step, figures)
        self._window, self._begun = [], time.perf_counter()


def _ours(module: LightningModule) -> TrainingModule:
    assert isinstance(module, TrainingModule)
    return module


def _divides(every: int | None, step: int) -> bool:
    return every is not None and step % every == 0


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _mean_over_devices(figures: dict[str, float], devices: int) -> dict[str, float]:
    if devices == 1:
        return figures
    every: list[dict[str, float]] = [{}] * devices
    torch.distributed.all_gather_object(every, figures)
    return {name: _mean([one[name] for one in every]) for name in figures}
