"""What `fast3r data` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from fast3r.cli.options import common

_Dataset = Annotated[
    Positional[str],
    arg(
        metavar="NAME",
        help="What is in the folder; a wrong name lists those known.",
        help_behavior_hint="(required)",
    ),
]
_Split = Annotated[
    str | None,
    common.optional("NAME", "Part of the dataset, such as val or test; by default train."),
]


@dataclass(frozen=True)
class CheckData:
    """Read a dataset from end to end and list what cannot be used.

    Prints a line for each broken frame and exits with 2 if there is any.

    Examples:
      fast3r data check co3d data/co3d_processed
      fast3r data check waymo data/waymo_processed --frames 10000
    """

    name: _Dataset

    root: Annotated[Positional[Path], arg(metavar="ROOT")]
    """The folder."""

    split: _Split = None

    frames: Annotated[int | None, common.optional("INT")] = None
    """Frames to read, spread evenly over the scenes; by default all."""

    seed: int = 0
    """Of the choice of frames."""

    threads: int = 8
    """Frames to read at the same time."""

    talk: common.TalkOptions = common.USUAL_TALK


@dataclass(frozen=True, kw_only=True)
class ShowData:
    """Draw samples as training does and write a picture of their photos and depth.

    Prints the name of the picture.

    Examples:
      fast3r data show procedural --output scenes.png
      fast3r data show co3d data/co3d_processed --output co3d.png --samples 3 --views 8
    """

    name: _Dataset

    root: Annotated[Positional[Path | None], common.optional("ROOT")] = None
    """The folder; none for procedural."""

    output: Annotated[Path, arg(metavar="FILE")]
    """The picture; its suffix tells the format."""

    split: _Split = None

    samples: int = 4
    """Rows of the picture."""

    views: int = 6
    """Photos of a sample."""

    seed: int = 0
    """The same seed draws the same samples."""

    talk: common.TalkOptions = common.USUAL_TALK


@dataclass(frozen=True, kw_only=True)
class ConvertData:
    """Make a posed_rgbd folder to train on from your own photos with cameras and depth.

    Prints the name of the folder.

    Examples:
      fast3r data convert scan/transforms.json data/mine/scan
      fast3r data convert sparse/0 data/mine/room --photos images --depth depth
    """

    source: Annotated[Positional[Path], arg(metavar="SOURCE")]
    """A transforms.json, or the folder of a COLMAP model without lens distortion."""

    output: Annotated[Positional[Path], arg(metavar="OUTPUT")]
    """Folder for the scene, new or empty; scenes beside each other make a dataset."""

    photos: Annotated[Path | None, common.optional("DIR")] = None
    """Photos of a COLMAP model."""

    depth: Annotated[Path | None, common.optional("DIR")] = None
    """Depth maps of a COLMAP model: stereo/depth_maps, or PHOTO.png, .npy or .npz."""

    depth_scale: float = 0.001
    """Depth, in units of the poses, that a value of 1 in a PNG stands for."""

    talk: common.TalkOptions = common.USUAL_TALK


@dataclass(frozen=True)
class Data:
    """Check training data, look at it, or convert your own.

    Examples:
      fast3r data check co3d data/co3d_processed
      fast3r data show procedural --output scenes.png
      fast3r data convert scan/transforms.json data/mine/scan
    """
