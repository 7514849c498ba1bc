"""What `fast3r mask` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from fast3r.cli.options.common import Talk


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

    photos: Annotated[
        Positional[tuple[str, ...]], arg(metavar="PHOTOS", help_behavior_hint="(required)")
    ]
    """A folder, image files, a pattern such as 'photos/*.jpg', or a video."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the masks; made where missing."""

    remove: tuple[Literal["sky", "people", "turntable"], ...] = ()
    """What to find: the sky, people (needs fast3r[masks]), what stands still behind a turntable."""

    fps: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Frames to take from each second of a video; the same as for the reconstruction."""

    num_frames: Annotated[int | None, arg(metavar="INT")] = None
    """Frames to take from each video, instead of --fps."""

    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Where the page listens; 0.0.0.0 lets other machines in."""

    port: int = 7862
    """Where the page listens; the next free one is taken where it is in use."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""
