"""A training run from its config: begin or go on, train, leave in order."""

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from fast3r.cluster.signals import StopSignals
from fast3r.models.fast3r import Fast3R
from fast3r.models.weight_files import read_pickle
from fast3r.training.callbacks import Recording, Saving, last_checkpoint
from fast3r.training.config import TrainingConfig
from fast3r.training.ema import WeightAveraging
from fast3r.training.lora import add_lora
from fast3r.training.module import TrainingModule
from fast3r.training.run_folder import open_folder, write_report
from fast3r.training.sharding import check_hardware, choose_strategy, cluster_plugins
from fast3r.training.warm_start import begin_matchers, begin_with

_PYTREE = r"lightning\.pytorch\.utilities\._pytree"


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    step: int
    """Steps done."""

    finished: bool
    """False where it only paused."""

    checkpoint: Path
    """Its newest state; `fast3r.load_model` reads it."""


def train(config: TrainingConfig, *, quiet: bool = False) -> Outcome:
    """Train, from the last checkpoint in the output folder where there is one.

    Args:
        config: From `fast3r.training.compose.compose`.
        quiet: Print nothing on stderr.

    Raises:
        ValueError: Settings, weights or data do not fit together, or with the run in the folder.
        ImportError: A package is missing that the settings ask for.
        Preempted: A signal asked to stop, and the run is saved.
    """
    check_hardware(config)
    open_folder(config)
    checkpoint = last_checkpoint(config.output)
    resumed = checkpoint if checkpoint.is_file() else None
    with _quiet_lightning():
        hardware = _hardware(config)
        module = _module(config, resumed)
        if not quiet:
            _announce(config, module, going_on=resumed is not None)
        if module.progress.done:
            return Outcome(module.progress.step, True, checkpoint)
        with StopSignals() as signals, _first_interrupt_stops():
            trainer = _trainer(config, hardware, signals, quiet=quiet)
            try:
                trainer.fit(module, ckpt_path=resumed)
            finally:
                module.teardown("fit")  # Lightning leaves it out where a run is interrupted
    return Outcome(module.progress.step, module.progress.done, checkpoint)


def is_first_process() -> bool:
    """Say whether this is the one process of a run that prints."""
    return vars(rank_zero_only).get("rank", 0) == 0


def on_cluster(config: TrainingConfig) -> TrainingConfig:
    """Return the config of the processes that Slurm starts: one for each GPU it gives."""
    asked = config.slurm
    hardware = replace(config.hardware, devices=asked.tasks_per_node, nodes=asked.nodes)
    return replace(config, launcher="local", hardware=hardware)


def _module(config: TrainingConfig, resumed: Path | None) -> TrainingModule:
    """Return the network with the weights that it begins with, or where a checkpoint left it."""
    torch.manual_seed(config.seed)
    model = Fast3R(config.model)
    report = None
    if resumed is None and config.start.path is not None:
        report = begin_with(config.start, model)
    if config.lora is not None:
        add_lora(model, config.lora)
    module = TrainingModule(config, model)
    if report is not None:
        matchers = begin_matchers(config.start, module.objective.matchers)
        write_report(config.output / "start.json", asdict(report) | {"matchers": matchers})
    if resumed is not None:
        module.progress.restore(read_pickle(resumed)["progress"])
    return module


def _trainer(
    config: TrainingConfig, hardware: dict[str, Any], signals: StopSignals, *, quiet: bool
) -> Trainer:
    averaging = [] if config.ema_decay is None else [WeightAveraging(config.ema_decay)]
    return Trainer(
        **hardware,
        callbacks=[*averaging, Recording(config, quiet=quiet), Saving(config, signals)],
        default_root_dir=config.output,
        max_epochs=-1,  # an epoch lasts until the next validation, see TrainingFeed
        precision="32-true",  # the objective decides which part is in half precision
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,  # compiled and sharded modules are trained on afterwards
        num_sanity_val_steps=0,
        limit_val_batches=1.0 if config.validation.batches > 0 else 0,
        plugins=cluster_plugins(),
    )


def _hardware(config: TrainingConfig) -> dict[str, Any]:
    """Return the options of the trainer on devices."""
    chosen = config.hardware
    kind = chosen.accelerator
    if kind == "auto":
        mps = "mps" if torch.backends.mps.is_available() else "cpu"
        kind = "cuda" if torch.cuda.is_available() else mps
    present = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if present.get(kind, 1) == 0:
        raise ValueError(
            f"hardware.accelerator={kind} was asked for, but torch finds no such device"
        )
    devices = chosen.devices or present.get(kind, 1)
    if devices > present.get(kind, devices):
        raise ValueError(f"hardware.devices={devices}, but there are {present[kind]} of {kind}")
    return {
        "accelerator": "gpu" if kind == "cuda" else kind,
        "devices": devices,
        "num_nodes": chosen.nodes,
        "strategy": choose_strategy(config, devices * chosen.nodes),
    }


@rank_zero_only
def _announce(config: TrainingConfig, module: TrainingModule, *, going_on: bool) -> None:
    count = sum(parameter.numel() for parameter in module.model.parameters()) / 1e6
    begins = f"goes on after step {module.progress.step}" if going_on else "begins"
    begins = "is finished" if module.progress.done else begins
    print(f"{config.output}: {begins}, {count:.1f} M parameters", file=sys.stderr, flush=True)


@contextmanager
def _first_interrupt_stops() -> Iterator[None]:
    """Let the first Ctrl-C save and leave, as SIGTERM does; the second one interrupts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning from advertising and from telling what was decided on purpose."""
    names = ("lightning.pytorch", "lightning.fabric")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Of Lightning's own use of torch.
            warnings.filterwarnings(
                "ignore", message=".*isinstance.treespec, LeafSpec", module=_PYTREE
            )
            # Nothing that the network returns is changed in place while gradients are recorded.
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
