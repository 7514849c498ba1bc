"""How several devices share a run: strategies, and what of the model each device holds."""

from importlib.util import find_spec
from typing import Any

import torch.distributed.fsdp
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import (
    DDPStrategy,
    DeepSpeedStrategy,
    ModelParallelStrategy,
    Strategy,
)
from torch.distributed.device_mesh import DeviceMesh

from fast3r.models.fast3r import Fast3R
from fast3r.training.config import TrainingConfig
from fast3r.training.objective import Objective


def check_hardware(config: TrainingConfig) -> None:
    """Refuse combinations that do not work together.

    Raises:
        ValueError: Some do not.
    """
    strategy, optimizer = config.hardware.strategy, config.optimizer.name
    if strategy != "ddp" and optimizer == "muon":
        raise ValueError(
            f"optimizer.name=muon needs whole matrices, which hardware.strategy={strategy} cuts "
            "into parts; take hardware.strategy=ddp or optimizer.name=adamw"
        )
    if strategy == "fsdp2" and not hasattr(torch.distributed.fsdp, "fully_shard"):
        raise ValueError(
            f"hardware.strategy=fsdp2 needs torch 2.6 or later, this is {torch.__version__}"
        )
    if strategy == "deepspeed" and config.accumulate > 1:
        raise ValueError("hardware.strategy=deepspeed takes accumulate=1 only")
    if strategy == "deepspeed" and find_spec("deepspeed") is None:
        raise ValueError(
            "hardware.strategy=deepspeed needs DeepSpeed: pip install deepspeed; "
            "hardware.strategy=fsdp2 needs nothing more and does the same"
        )


def choose_strategy(config: TrainingConfig, processes: int) -> Strategy | str:
    """Return Lightning's strategy for a number of processes, those of all machines."""
    kind = config.hardware.strategy
    if kind == "deepspeed":
        return DeepSpeedStrategy(config=_deepspeed(config))
    if kind == "fsdp2":
        return ModelParallelStrategy(
            data_parallel_size=processes, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    if processes == 1:
        return "auto"
    return DDPStrategy(gradient_as_bucket_view=True)


def cluster_plugins() -> list[Any]:
    """Return plugins that keep Lightning from requeueing Slurm jobs on its own."""
    detected = SLURMEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if detected else []


def shard(model: Fast3R, objective: Objective, mesh: DeviceMesh) -> None:
    """Leave each device a part of every parameter (FSDP2); blocks are whole while they work.

    The root stays as it is: its methods are called, not its `forward`, which FSDP2 listens to.
    """
    parts = [*model.encoder.blocks, model.encoder, *model.fusion.blocks, model.fusion]
    heads = (model.world_head, model.local_head, model.match_head)
    parts += [head for head in heads if head is not None]
    for part in [*parts, *objective.matchers]:
        for parameter in part.parameters():
            parameter.data = parameter.data.contiguous()  # FSDP2 takes no other layout
        torch.distributed.fsdp.fully_shard(part, mesh=mesh)


def _deepspeed(config: TrainingConfig) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": {"stage": 2},
        "zero_allow_untested_optimizer": True,
    }
    if config.optimizer.clip_norm is not None:
        settings["gradient_clipping"] = config.optimizer.clip_norm
    return settings
