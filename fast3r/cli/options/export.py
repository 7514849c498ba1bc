"""What `fast3r export` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from fast3r.cli.options.common import Formats, Talk


@dataclass(frozen=True)
class Export:
    """Write a scene, saved by 'reconstruct --format npz', in other formats.

    Prints the name of the output folder.

    Examples:
      fast3r export out/scene.npz --output out --format colmap
      fast3r export out --output web --format html --min-conf-percentile 50
    """

    scene: Annotated[Positional[Path], arg(metavar="SCENE")]
    """A scene.npz, or the folder that holds it."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the results; made where missing."""

    format: Formats = ()
    """Of ply, colmap, colmap-text, bundler, transforms, splat, glb, laz, mesh, depth, npz, html,
    still (a picture), all."""

    min_conf_percentile: float = 30.0
    """Percentage of each photo's points, the least sure ones, that point clouds leave out."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""
