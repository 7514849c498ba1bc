"""What `fast3r plan` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from fast3r.cli.options.common import Talk


@dataclass(frozen=True)
class Plan:
    """Tell what a reconstruction of these photos would take, and how it would be arranged.

    Examples:
      fast3r plan photos/
      fast3r plan photos/ --model large --device cuda --memory-gib 24
      fast3r plan photos/ --json
    """

    photos: Annotated[
        Positional[tuple[str, ...]], arg(metavar="PHOTOS", help_behavior_hint="(required)")
    ]
    """A folder, image files, a pattern such as 'photos/*.jpg', or a video."""

    model: Annotated[str, arg(metavar="NAME|PATH")] = "small"
    """small (bundled), large (the published one), or a folder with weights."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where to compute: auto, cuda, cuda:1, mps, cpu."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the transformer; auto leaves it to the plan."""

    memory_gib: Annotated[float | None, arg(metavar="GIB")] = None
    """Memory that the run may take, of the device or else the host; by default most of the free."""

    chunk_views: Annotated[int | None, arg(metavar="N")] = None
    """Use overlapping chunks of N photos; by default only where one pass does not fit."""

    size: Annotated[int | None, arg(metavar="PX")] = None
    """Long side of the photos as the network sees them; by default what the model was made for."""

    fps: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Frames to take from each second of a video."""

    num_frames: Annotated[int | None, arg(metavar="INT")] = None
    """Frames to take from each video, instead of --fps."""

    masks: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of masks, named like the photos: what they hide costs less."""

    json: FlagCreatePairsOff[bool] = False
    """Print JSON."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""
