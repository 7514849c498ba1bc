"""Turn a training checkpoint into weights to ship, with their model card inside.

    python -m fast3r.training.release last.ckpt small.safetensors --card card.md

The card is Markdown with the sections Data, Compute, Results, Limits and Licence; each becomes an
entry of the file's metadata.
"""

import argparse
import re
from pathlib import Path

import torch

from fast3r.models.checkpoints import load_model, save_model
from fast3r.models.weight_files import TRAINING_CONFIG, read_pickle

SECTIONS = ("data", "compute", "results", "limits", "licence")
"""What a model card has to say."""


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


def release(checkpoint: Path, target: Path, card: Path) -> None:
    """Write the weights of a checkpoint in bfloat16, with its model card in the metadata.

    Raises:
        ValueError: The checkpoint or the card is not what it should be.
    """
    metadata, content = read_card(card), read_pickle(checkpoint)
    if TRAINING_CONFIG not in content:
        raise ValueError(f"{checkpoint} is no checkpoint of `fast3r train`")
    place = content["progress"]
    metadata["training"] = f"{place['step']} steps, {place['spent_s'] / 60:.0f} minutes"
    model = load_model(checkpoint, device="cpu")
    save_model(model, target, dtype=torch.bfloat16, metadata=metadata)


def main() -> None:
    """Read the paths and convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--card", type=Path, required=True, help="Markdown, see above")
    options = parser.parse_args()
    release(options.checkpoint, options.target, options.card)


if __name__ == "__main__":
    main()
