"""What `fast3r plan` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fast3r.cli.options import common


@dataclass(frozen=True)
class Plan:
    """Tell what a reconstruction of these photos would take, and how it would be arranged.

    Examples:
      fast3r plan photos/
      fast3r plan photos/ --model large --device cuda --memory-gib 24
      fast3r plan photos/ --json
    """

    photos: common.Photos
    model: common.Model = "small"
    device: common.Device = "auto"
    precision: common.Precision = "auto"
    memory_gib: common.MemoryGib = None
    chunk_views: common.ChunkViews = None
    size: common.Size = None
    fps: common.Fps = None
    num_frames: common.NumFrames = None

    masks: Annotated[Path | None, common.optional("DIR")] = None
    """Folder of masks, named like the photos: what they hide costs less."""

    json: common.Flag = False
    """Print JSON."""

    talk: common.TalkOptions = common.USUAL_TALK
