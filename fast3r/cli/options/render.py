"""What `fast3r render` can be told."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import UseAppendAction

from fast3r.cli.options import common
from fast3r.cli.options.common import optional


@dataclass(frozen=True)
class Render:
    """Draw a scene, saved by 'reconstruct --format npz', without a display.

    Writes still.png, depth.png (photo, depth and confidence of views), top-view.png (a map with the
    cameras) and turntable.gif, and prints the name of the output folder.

    Examples:
      fast3r render out --output pictures
      fast3r render out --output pictures --picture turntable --film mp4 --frames 120
      fast3r render out --output pictures --color-by confidence
    """

    scene: common.SavedScene
    output: common.Output

    picture: UseAppendAction[tuple[Literal["still", "depth", "top-view", "turntable"], ...]] = ()
    """Draw only this; repeat it for more."""

    size: Annotated[tuple[int, int] | None, optional("WIDTH HEIGHT")] = None
    """In pixels; by default 1200 800, and 640 480 for the turntable."""

    film: Literal["gif", "webp", "mp4"] = "gif"
    """Format of the turntable; webp is smaller and finer, mp4 needs the extra media."""

    path: Literal["auto", "orbit", "swing"] = "auto"
    """How its camera moves: all around, or to and fro; auto is around where photos were so."""

    frames: int = 60
    """Pictures of the turntable."""

    seconds: float = 6.0
    """How long one round of the turntable lasts."""

    color_by: Literal["photo", "confidence", "view", "height"] = "photo"
    """What the colours of the points tell."""

    min_conf_percentile: common.MinConfPercentile = 30.0

    point_size: float = 1.0
    """Makes the points larger or smaller; 1 just leaves no holes."""

    hide_cameras: common.Flag = False
    """Draw points only; the map shows the cameras nevertheless."""

    talk: common.TalkOptions = common.USUAL_TALK
