"""What `fast3r refine` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from fast3r.cli.options.common import Formats, Talk


@dataclass(frozen=True)
class Refine:
    """Make the cameras of a scene, saved by 'reconstruct --format npz', exact.

    Writes scene.npz, cameras.json, scene.ply and refinement.json, and prints the name of the output
    folder. 'reconstruct --refine' does the same in one go.

    Examples:
      fast3r refine out/scene.npz --output refined
      fast3r refine out --photos photos/ --output refined --format colmap
      fast3r refine out --output refined --priors known.json
    """

    scene: Annotated[Positional[Path], arg(metavar="SCENE")]
    """A scene.npz, or the folder that holds it."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the results; made where missing."""

    photos: Annotated[Path | None, arg(metavar="DIR")] = None
    """Where the photos are now; by default where they were."""

    format: Formats = ()
    """Also colmap, colmap-text, bundler, transforms, splat, glb, laz, mesh, depth, html, still
    (a picture), all."""

    intrinsics: Literal["auto", "shared", "own"] = "auto"
    """Shared by photos of one camera and size, each photo's own, or what explains the photos."""

    priors: Annotated[Path | None, arg(metavar="FILE")] = None
    """What you know, as JSON or YAML: intrinsics, poses, GPS, distances and more; see
    docs/priors.md."""

    seed: int = 0
    """The same seed gives the same result."""

    min_conf_percentile: float = 30.0
    """Percentage of each photo's points, the least sure ones, that point clouds leave out."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""
