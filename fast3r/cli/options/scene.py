"""What `fast3r scene` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from fast3r.cli.options import common
from fast3r.cli.options.common import optional, required


@dataclass(frozen=True)
class Scene:
    """Change a scene that stands: add, localize, remove, merge, align.

    Scenes are what 'reconstruct --format npz' saved. Nothing is reconstructed anew.

    Examples:
      fast3r scene add out more/ --output grown
      fast3r scene localize out today.jpg --output found
      fast3r scene remove out blurred.jpg --output rest
      fast3r scene merge kitchen hall --output flat
      fast3r scene align out --up ground --distance door.jpg sink.jpg 2.4 --output aligned
    """


@dataclass(frozen=True, kw_only=True)
class _Standing:
    scene: common.SavedScene
    output: common.Output
    talk: common.TalkOptions = common.USUAL_TALK


@dataclass(frozen=True, kw_only=True)
class Changed(_Standing):
    """What actions have in common that write a scene."""

    format: common.Formats = ()
    min_conf_percentile: common.MinConfPercentile = 30.0


@dataclass(frozen=True, kw_only=True)
class _Seen:
    model: common.Model = "small"
    device: common.Device = "auto"
    precision: common.Precision = "auto"
    size: common.Size = None
    seed: common.Seed = 0


@dataclass(frozen=True, kw_only=True)
class _Beside(_Seen):
    photos: common.Photos

    references: Annotated[tuple[str, ...], optional("NAME ...")] = ()
    """Photos of the scene to compare with; by default those most like the new ones."""

    max_references: int = 8
    """Photos of the scene that are chosen for each pass, at most."""

    exact: common.Flag = False
    """First try features shared with the scene; for scenes with exact cameras, from --refine."""

    masks: Annotated[Path | None, optional("DIR")] = None
    """Folder of images, named like the new photos, that are black where the scene is not."""


@dataclass(frozen=True, kw_only=True)
class AddToScene(_Beside, Changed):
    """Find the place of more photos in a scene; what stands stays as it is, bit by bit.

    Writes scene.npz, cameras.json, scene.ply and added.json, which tells what became of each photo,
    and prints the name of the output folder.

    Examples:
      fast3r scene add out more/ --output grown
      fast3r scene add out new1.jpg new2.jpg --output grown --format colmap
    """


@dataclass(frozen=True, kw_only=True)
class LocalizeInScene(_Beside, _Standing):
    """Find where photos were taken in a scene, each by itself; the scene does not change.

    Writes cameras.json, in the world of the scene, and localized.json, which tells what each camera
    rests on, and prints the name of the output folder. Exits with 2 if no photo was found.

    Examples:
      fast3r scene localize out today.jpg --output found
      fast3r scene localize refined frames/ --output found --exact
    """


@dataclass(frozen=True, kw_only=True)
class RemoveFromScene(Changed):
    """Leave photos out of a scene; the others stay as they are, bit by bit.

    Writes scene.npz, cameras.json and scene.ply, and prints the name of the output folder.

    Examples:
      fast3r scene remove out blurred.jpg --output rest
      fast3r scene remove out IMG_7 IMG_9 --output rest
    """

    names: Annotated[Positional[tuple[str, ...]], required("NAME")]
    """Photos of the scene, with or without folders and ending."""


@dataclass(frozen=True, kw_only=True)
class MergeScenes(_Seen, Changed):
    """Bring two scenes together, by common photos, or by a pass over photos of both.

    Common photos are those of equal content, whatever they are called. The model is only loaded
    where there are none, or where they contradict each other. Writes scene.npz, cameras.json,
    scene.ply and merged.json, which tells how well the scenes agree, and prints the name of the
    output folder.

    Examples:
      fast3r scene merge kitchen hall --output flat
      fast3r scene merge day1/scene.npz day2/scene.npz --output both --model large
    """

    other: Annotated[Positional[Path], required("OTHER")]
    """The second scene, likewise."""


@dataclass(frozen=True, kw_only=True)
class AlignScene(Changed):
    """Give a scene another unit, origin or vertical; its shape stays.

    Writes scene.npz, cameras.json and scene.ply, and prints the name of the output folder. Points
    are NAME:X,Y, a pixel of the original photo; NAME alone is where the camera stood.

    Examples:
      fast3r scene align out --up upright --output aligned
      fast3r scene align out --up ground --origin door.jpg --output aligned
      fast3r scene align out --distance a.jpg:812,640 a.jpg:1120,655 0.9 --output metric
    """

    up: Annotated[Literal["upright", "ground"] | None, optional("upright|ground")] = None
    """The z axis points up: the photos were taken upright, or the largest plane below is level."""

    distance: Annotated[
        UseAppendAction[tuple[tuple[str, str, float], ...]], arg(metavar="POINT POINT METRES")
    ] = ()
    """A length that was measured, which makes the unit the metre; may be given several times."""

    origin: Annotated[str | None, optional("NAME|cameras")] = None
    """Photo whose camera becomes the origin, or 'cameras' for the middle of all."""

    seed: common.Seed = 0


SceneCommand = AddToScene | LocalizeInScene | RemoveFromScene | MergeScenes | AlignScene
