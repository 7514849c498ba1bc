"""Turn a training checkpoint into weights to ship.

python -m fast3r.training.release runs/small/last.pt fast3r/models/weights/small.safetensors
"""

import argparse
from pathlib import Path

import torch

from fast3r.models.checkpoints import save_model
from fast3r.models.config import SMALL
from fast3r.models.fast3r import Fast3R

LICENCE = "Apache-2.0; trained on procedural scenes with CC0 textures only"


def release(checkpoint: Path, target: Path) -> None:
    """Write the weights of a checkpoint in bfloat16, with their origin in the metadata."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model = Fast3R(SMALL)
    model.load_state_dict(state["model"])
    metadata = {
        "licence": LICENCE,
        "training": f"{state['step']} steps, {state['spent_s'] / 60:.0f} minutes",
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, target, dtype=torch.bfloat16, metadata=metadata)


def main() -> None:
    """Read the two paths and convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    release(options.checkpoint, options.target)


if __name__ == "__main__":
    main()
