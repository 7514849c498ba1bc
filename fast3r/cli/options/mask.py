"""What `fast3r mask` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from fast3r.cli.options import common


@dataclass(frozen=True)
class Mask:
    """Make masks: black where something does not belong to the scene.

    With --remove they are made at once; without it, on a page in the browser on which you paint,
    starting from the masks that are in the folder already. One image for each photo, as
    'reconstruct --masks' and COLMAP take them.

    Examples:
      fast3r mask photos/ --output masks --remove sky people
      fast3r mask photos/ --output masks
      fast3r reconstruct photos/ --output out --masks masks
    """

    photos: common.Photos

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the masks; made where missing."""

    remove: Annotated[
        tuple[Literal["sky", "people", "turntable"], ...],
        common.optional("{sky,people,turntable} ..."),
    ] = ()
    """What to find: the sky, people (needs fast3r[masks]), what stands still behind a turntable."""

    fps: common.Fps = None
    num_frames: common.NumFrames = None
    host: common.Host = "127.0.0.1"

    port: int = 7862
    """Where the page listens; the next free one is taken where it is in use."""

    talk: common.TalkOptions = common.USUAL_TALK
