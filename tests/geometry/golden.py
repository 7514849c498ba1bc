"""What the published Fast3R computed, see tests/data/README.md."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parents[1] / "data" / "golden"


class Golden:
    """The arrays of one file, as tensors."""

    def __init__(self, name: str) -> None:
        self._arrays = np.load(FOLDER / name)

    def __getitem__(self, key: str) -> Tensor:
        return torch.from_numpy(self._arrays[key])

    def views(self, case: str, key: str, count: int) -> list[Tensor]:
        return [self[f"{case}view{view}_{key}"] for view in range(count)]
