"""What each command can be told. No import here is heavy, so that `--help` answers at once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, UseAppendAction, arg

Formats = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME")]


@dataclass(frozen=True)
class Talk:
    """How much a command says on stderr."""

    quiet: FlagCreatePairsOff[bool] = False
    """Say nothing but errors."""

    verbose: FlagCreatePairsOff[bool] = False
    """Show the traceback of an error."""


@dataclass(frozen=True)
class Reconstruct:
    """Turn photos or a video into cameras and a point cloud.

    Writes cameras.json, scene.ply and report.json, and prints the name of the output folder.

    Examples:
      fast3r reconstruct photos/ --output out
      fast3r reconstruct photos/ --output out --format colmap --format glb
      fast3r reconstruct clip.mp4 --output out --fps 2
    """

    photos: Annotated[
        Positional[tuple[str, ...]], arg(metavar="PHOTOS", help_behavior_hint="(required)")
    ]
    """A folder, image files, a pattern such as 'photos/*.jpg', or a video."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the results; made where missing."""

    model: Annotated[str, arg(metavar="NAME|PATH")] = "small"
    """small (bundled), large (the published one), a folder with weights, or a hub repository."""

    format: Formats = ()
    """Also colmap, colmap-text, transforms, glb, laz, depth, npz, html, still (picture), or all."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where to compute: auto, cuda, cuda:1, mps, cpu."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the transformer; auto is bfloat16 on CUDA devices that have it."""

    seed: int = 0
    """The same seed gives the same result."""

    size: Annotated[int | None, arg(metavar="PX")] = None
    """Long side of the photos as the network sees them; by default what the model was made for."""

    fps: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Frames to take from each second of a video."""

    num_frames: Annotated[int | None, arg(metavar="INT")] = None
    """Frames to take from each video, instead of --fps."""

    masks: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of images, named like the photos, that are black where the scene is not."""

    share_focal: Literal["camera", "all", "none"] = "camera"
    """Photos that have one focal length: those of one camera and size, all, or none for sure."""

    min_conf_percentile: float = 30.0
    """Percentage of each photo's points, the least sure ones, that scene.ply leaves out."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


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
    """Of ply, colmap, colmap-text, transforms, glb, laz, depth, npz, html, still, all."""

    min_conf_percentile: float = 30.0
    """Percentage of each photo's points, the least sure ones, that point clouds leave out."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Convert:
    """Rewrite the weights of a model in another format.

    Prints the name of the target.

    Examples:
      fast3r convert jedyang97/Fast3R_ViT_Large_512 weights/large
      fast3r convert weights/large weights/large-published --format published
    """

    source: Annotated[Positional[str], arg(metavar="SOURCE")]
    """A model's name, a folder or file with weights, or a hub repository."""

    target: Annotated[Positional[Path], arg(metavar="TARGET")]
    """Folder for config.json and model.safetensors, or a file that ends in .safetensors."""

    format: Literal["fast3r", "published"] = "fast3r"
    """Ours, or the one that the authors' code reads."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Doctor:
    """Tell what this machine has, what is missing, and about how many photos fit.

    Examples:
      fast3r doctor
    """

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


Command = Reconstruct | Export | Convert | Doctor

COMMANDS: dict[str, type[Command]] = {
    "reconstruct": Reconstruct,
    "export": Export,
    "convert": Convert,
    "doctor": Doctor,
}
"""The options of each command by its name, which is also its module in this package."""
