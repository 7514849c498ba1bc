"""`python -m fast3r.training`: train a small model on procedural scenes."""

import argparse
import math
from pathlib import Path

from fast3r.training.config import TrainingConfig
from fast3r.training.loop import Trainer


def main() -> None:
    """Read options and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of checkpoints and log")
    parser.add_argument("--minutes", type=float, default=TrainingConfig.minutes)
    parser.add_argument("--stop-after-minutes", type=float, default=math.inf)
    parser.add_argument("--tokens-per-step", type=int, default=TrainingConfig.tokens_per_step)
    parser.add_argument("--learning-rate", type=float, default=TrainingConfig.learning_rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="rendering processes")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--start", type=Path, help="weights of an earlier run")
    options = vars(parser.parse_args())
    Trainer(TrainingConfig(**options)).train()


if __name__ == "__main__":
    main()
