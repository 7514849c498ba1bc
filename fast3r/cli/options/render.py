"""What `fast3r render` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, UseAppendAction, arg

from fast3r.cli.options.common import Talk


@dataclass(frozen=True)
class Render:
    """Draw a scene, saved by 'reconstruct --format npz', without a display.

    Writes still.png, depth.png (photo, depth and confidence of views), top-view.png (a map with the
    cameras) and turntable.gif, and prints the name of the output folder.

    Examples:
      fast3r render out --output pictures
      fast3r render out --output pictures --picture turntable --film mp4 --frames 120
      fast3r render out --output pictures --color-by confidence --views '1-20,*_left.jpg'
    """

    scene: Annotated[Positional[Path], arg(metavar="SCENE", help_behavior_hint="(required)")]
    """A scene.npz, or the folder that holds it."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the pictures; made where missing."""

    picture: UseAppendAction[tuple[Literal["still", "depth", "top-view", "turntable"], ...]] = ()
    """Draw only this; repeat it for more."""

    film: Literal["gif", "webp", "mp4"] = "gif"
    """Format of the turntable; webp is smaller and finer, mp4 needs the extra media."""

    path: Literal["auto", "orbit", "swing", "photos"] = "auto"
    """How the camera of the turntable moves: all around, to and fro, or along the places of the
    photos; auto goes around where photos were taken from all sides, else to and fro."""

    frames: int = 60
    """Pictures of the turntable."""

    seconds: float = 6.0
    """How long one round of the turntable lasts."""

    size: Annotated[tuple[int, int], arg(metavar="WIDTH HEIGHT")] = (1200, 800)
    """Of still and map, in pixels."""

    film_size: Annotated[tuple[int, int], arg(metavar="WIDTH HEIGHT")] = (640, 480)
    """Of the turntable, in pixels."""

    color_by: Literal["photo", "confidence", "view", "height"] = "photo"
    """What the colours of the points tell."""

    views: Annotated[str | None, arg(metavar="NUMBERS|NAMES")] = None
    """Draw only these photos: numbers from 1 as on the map, names or patterns, with commas."""

    min_conf_percentile: float = 30.0
    """Percentage of each photo's points, the least sure ones, that are left out."""

    point_size: float = 1.0
    """Makes the points larger or smaller; 1 just leaves no holes."""

    hide_cameras: FlagCreatePairsOff[bool] = False
    """Draw points only; the map shows the cameras nevertheless."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""
