"""A program that trains as `fast3r train` does and stores the weights that each process ends with.

python two_processes.py FOLDER KEY=VALUE ...
"""

import os
import sys
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from fast3r.training.compose import compose
from fast3r.training.module import TrainingModule
from fast3r.training.run import train


def whole(parameter: torch.Tensor) -> torch.Tensor:
    return parameter.full_tensor() if isinstance(parameter, DTensor) else parameter


def main() -> None:
    folder, rank = Path(sys.argv[1]), os.environ.get("LOCAL_RANK", "0")

    def keep(module: TrainingModule) -> None:
        weights = {name: whole(p).detach() for name, p in module.named_parameters()}
        torch.save(weights, folder / f"rank{rank}.pt")

    TrainingModule.on_train_end = keep
    train(compose(sys.argv[2:]), quiet=True)


if __name__ == "__main__":
    main()
