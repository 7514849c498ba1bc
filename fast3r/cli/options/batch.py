"""What `fast3r batch` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from fast3r.cli.options import common
from fast3r.cli.options.reconstruct import SceneOptions


@dataclass(frozen=True, kw_only=True)
class Batch(SceneOptions):
    """Turn many scenes into cameras and point clouds, each in a folder of its own.

    Scenes that are finished already, with the same options, are not made again, so a run that was
    stopped goes on. A scene that fails does not stop the others. Prints the name of a summary.

    Examples:
      fast3r batch scenes/ --output out
      fast3r batch scenes.jsonl --output out --format colmap --shard 2/8
      fast3r batch scenes.jsonl --output out --model large --slurm gpu --jobs 8
    """

    scenes: Annotated[Positional[Path], arg(metavar="MANIFEST", help_behavior_hint="(required)")]
    """A folder of folders and videos, or JSON lines: {"photos": "hall/", "name": ..., ...}."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the results, where each scene gets one of its name."""

    shard: common.Shard = "1/1"
    jobs: common.Jobs = 1
    slurm: common.Slurm = None
    hours: common.Hours = 24.0
