"""Turn a training checkpoint into weights to ship, with their model card inside.

    python -m fast3r.training.release last.ckpt small.safetensors --card card.md

The card is Markdown with the sections Data, Compute, Results, Limits and Licence; each becomes an
entry of the file's metadata.
"""

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fast3r.models.checkpoints import read_weights, save_model
from fast3r.models.config import SMALL, Fast3RConfig
from fast3r.models.config_files import read_config
from fast3r.models.fast3r import Fast3R
from fast3r.models.weight_files import TRAINING_CONFIG, read_pickle
from fast3r.training.warm_start import read_plain

SECTIONS = ("data", "compute", "results", "limits", "licence")
"""What a model card has to say."""


@dataclass(frozen=True)
class Trained:
    """A network and how long it was trained."""

    config: Fast3RConfig
    """Its shape."""

    tensors: dict[str, Tensor]
    """Its weights."""

    steps: int
    """Updates."""

    spent_s: float
    """Time."""


def read_trained(checkpoint: Path, config: Fast3RConfig = SMALL) -> Trained:
    """Return what a checkpoint holds.

    Args:
        checkpoint: Of a run of ours, or a plain one of earlier versions.
        config: Shape of the network in a plain checkpoint, which does not say it.

    Raises:
        ValueError: It is no checkpoint of our training.
    """
    content = read_pickle(checkpoint)
    plain = read_plain(content)
    if plain is not None:
        return Trained(config, dict(plain.tensors), content["step"], content["spent_s"])
    if TRAINING_CONFIG not in content:
        raise ValueError(f"{checkpoint} is no checkpoint of `fast3r train`")
    weights, place = read_weights(checkpoint), content["progress"]
    return Trained(weights.config, weights.tensors, int(place["step"]), place["spent_s"])


def read_card(card: Path) -> dict[str, str]:
    """Return the sections of a model card.

    Raises:
        ValueError: Some are missing or empty.
    """
    parts = re.split(r"^## +(\w+) *$", card.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {
        name.lower(): text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    missing = [name for name in SECTIONS if not found.get(name)]
    if missing:
        raise ValueError(
            f"{card} lacks the sections {', '.join(missing)}; write each below a line such as "
            f"'## {missing[0].capitalize()}'"
        )
    return {name: found[name] for name in SECTIONS}


def release(checkpoint: Path, target: Path, card: Path, *, config: Fast3RConfig = SMALL) -> None:
    """Write the weights of a checkpoint in bfloat16, with its model card in the metadata.

    Raises:
        ValueError: The checkpoint or the card is not what it should be.
    """
    metadata, trained = read_card(card), read_trained(checkpoint, config)
    metadata["training"] = f"{trained.steps} steps, {trained.spent_s / 60:.0f} minutes"
    model = Fast3R(trained.config)
    model.load_state_dict(trained.tensors)
    save_model(model, target, dtype=torch.bfloat16, metadata=metadata)


def main() -> None:
    """Read the paths and convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--card", type=Path, required=True, help="Markdown, see above")
    parser.add_argument("--config", type=Path, help="config.json, for a plain checkpoint")
    options = parser.parse_args()
    config = SMALL
    if options.config is not None:
        config = read_config(json.loads(options.config.read_text(encoding="utf-8")))
    release(options.checkpoint, options.target, options.card, config=config)


if __name__ == "__main__":
    main()
