"""What `fast3r convert` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from fast3r.cli.options import common


@dataclass(frozen=True)
class Convert:
    """Rewrite the weights of a model in another format.

    Prints the name of the target.

    Examples:
      fast3r convert jedyang97/Fast3R_ViT_Large_512 weights/large
      fast3r convert weights/large weights/large-published --format published
    """

    source: Annotated[Positional[str], arg(metavar="SOURCE")]
    """A model's name, a folder or file with weights, or a hub repository."""

    target: Annotated[Positional[Path], arg(metavar="TARGET")]
    """Folder for config.json and model.safetensors, or a file that ends in .safetensors."""

    format: Literal["fast3r", "published"] = "fast3r"
    """Ours, or the one that the authors' code reads."""

    talk: common.TalkOptions = common.USUAL_TALK
