"""What a training run is made of."""

import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stage:
    """What is trained on until a share of the time is spent."""

    until: float
    """Share of the time at which this stage ends."""

    shapes: tuple[tuple[int, int], ...]
    """Heights and widths, one drawn a step."""

    views: tuple[int, ...]
    """Numbers of views, one drawn a step."""

    difficulty: tuple[float, float]
    """Spread of the cameras, drawn evenly between these."""


STAGES = (
    Stage(0.12, ((48, 64), (64, 48), (56, 56)), (2, 3), (0.0, 0.4)),
    Stage(0.70, ((72, 96), (96, 72), (80, 80), (64, 96)), (2, 3, 4), (0.0, 0.8)),
    Stage(1.00, ((96, 128), (128, 96), (112, 112), (80, 128)), (2, 3, 4, 6), (0.0, 1.0)),
)
"""From few close views of small images to many distant views at the size of use."""


@dataclass(frozen=True)
class TrainingConfig:
    """One training run."""

    output: Path
    """Folder of checkpoints and the log."""

    minutes: float = 20.0
    """Length of the whole run; the learning rate ends with it."""

    stop_after_minutes: float = math.inf
    """End this process earlier; the same command goes on later."""

    tokens_per_step: int = 98304
    """Patches of all views of all samples of a step: what memory allows."""

    learning_rate: float = 1.5e-3
    """Peak, for the matrices of the transformer (Muon)."""

    other_learning_rate: float = 5e-4
    """Peak, for all else (AdamW). At 2e-3 most channels before the heads' outputs died."""

    weight_decay: float = 0.02
    """Decoupled, on matrices only."""

    warmup: float = 0.03
    """Share of the time over which the learning rate rises."""

    matching_weight: float = 0.5
    """Weight of the matching losses on the tokens of encoder and fusion; falls to a tenth."""

    pose_weight: float = 0.5
    """Weight of the world map against the local map moved by the true pose."""

    seed: int = 0
    """Of weights and scenes."""

    workers: int = 0
    """Processes that render; 0 renders in this one, on the device that trains."""

    compile: bool = False
    """Fuse the transformer blocks and the renderer with torch.compile."""

    start: Path | None = None
    """Weights to start from, written by an earlier run."""
