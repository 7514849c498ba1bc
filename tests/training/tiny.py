"""Runs and samples so small that a test can afford them."""

from pathlib import Path

import torch

from fast3r.data.sample import Sample
from fast3r.training.compose import compose
from fast3r.training.config import TrainingConfig

TINY = (
    "preset=smoke",
    "model.encoder={width:32,depth:1}",
    "model.fusion={width:32}",
    "model.head={features:8,last_features:8,level_widths:[8,8,8,8]}",
    "data.workers=0",
    "data.rendered.stages=[{until:1.0,shapes:[{height:32,width:40}],views:[2],difficulty:[0,0.3]}]",
    "data.rendered.tokens_per_step=80",
    "hardware.accelerator=cpu",
    "hardware.precision=float32",
    "log.tensorboard=false",
    "log.every_steps=2",
    "validation.batches=0",
)
"""Two scenes of two views of 20 patches a step."""


def tiny_config(output: Path, *overrides: str) -> TrainingConfig:
    return compose([*TINY, f"output={output}", *overrides])


def plane_sample(shift_px: int) -> Sample:
    """Two views of the plane z = 2, the second moved right by `shift_px` pixels."""
    height, width, focal, depth = 32, 48, 40.0, 2.0
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    rays = torch.stack(((x - width / 2) / focal, (y - height / 2) / focal, torch.ones_like(x)), -1)
    poses = torch.eye(4).repeat(1, 2, 1, 1)
    poses[0, 1, 0, 3] = shift_px * depth / focal
    points = rays * depth + poses[:, :, None, None, :3, 3]
    k = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Sample(
        images=torch.rand(1, 2, 3, height, width, generator=torch.Generator().manual_seed(0)),
        points=points,
        valid=torch.ones(1, 2, height, width, dtype=torch.bool),
        intrinsics=k.expand(1, 2, 3, 3),
        world_from_camera=poses,
    )
