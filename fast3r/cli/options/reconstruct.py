"""What `fast3r reconstruct` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from fast3r.cli.options.common import Formats, Talk


@dataclass(frozen=True)
class SceneOptions:
    """How photos become a scene: what `fast3r reconstruct` and `fast3r batch` have in common."""

    model: Annotated[str, arg(metavar="NAME|PATH")] = "small"
    """small (bundled), large (the published one), a folder with weights, or a hub repository."""

    commercial_only: FlagCreatePairsOff[bool] = False
    """Refuse weights that do not say that they may be used commercially, such as large."""

    format: Formats = ()
    """Also colmap, colmap-text, bundler, transforms, splat, glb, laz, mesh, depth, npz, html, still
    (a picture), all."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where to compute: auto, cuda, cuda:1, mps, cpu."""

    devices: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ()
    """Share each scene over several devices of this machine: cuda:0 cuda:1; see docs/many.md."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the transformer; auto is bfloat16 on CUDA devices that have it."""

    memory_gib: Annotated[float | None, arg(metavar="GIB")] = None
    """Memory that the run may take, of the device or else the host; by default most of the free."""

    chunk_views: Annotated[int | None, arg(metavar="N")] = None
    """Use overlapping chunks of N photos; by default only where one pass does not fit."""

    overlap: Annotated[int | None, arg(metavar="M")] = None
    """Photos that a chunk shares with the next one; by default a quarter of --chunk-views."""

    chunk_order: Literal["auto", "given", "similarity"] = "auto"
    """What makes a chunk: photos in the order given, as in videos, or photos that look alike."""

    thin: Annotated[float | None, arg(metavar="SHARE")] = None
    """Let each photo look at a share of the others only, such as 0.25: faster for hundreds, and
    not exact; see docs/speed.md."""

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

    masks_keep: Literal["white", "black"] = "white"
    """What the masks keep: black where they are white on what is to go."""

    remove: tuple[Literal["sky", "people", "turntable"], ...] = ()
    """Leave out the sky, people (needs fast3r[masks]), or what stands still behind a turntable."""

    share_focal: Literal["camera", "all", "none"] = "camera"
    """Photos that have one focal length: those of one camera and size, all, or none for sure."""

    priors: Annotated[Path | None, arg(metavar="FILE")] = None
    """What you know, as JSON or YAML: poses, GPS, distances, rigs and more; see docs/priors.md."""

    cameras: Annotated[Path | None, arg(metavar="PATH")] = None
    """Cameras you know, of some photos or all: a COLMAP model, transforms.json or cameras.json."""

    lens: Annotated[str | None, arg(metavar="MODEL")] = None
    """Lens of all photos: equirectangular, opencv, opencv-fisheye, simple-radial and more."""

    lens_params: Annotated[tuple[float, ...], arg(metavar="NUMBER ...")] = ()
    """Numbers of that model as COLMAP has them, such as fx fy cx cy k1 k2 p1 p2; docs/lenses.md."""

    intrinsics: Literal["exif"] | None = None
    """Take focal lengths from EXIF instead of from the network."""

    gps: Literal["exif"] | None = None
    """Take places from EXIF: the world becomes east, north, up, in metres."""

    gravity: Literal["upright"] | None = None
    """The photos were taken upright: the world's z axis points up."""

    depth_maps: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of depth maps, named like the photos, in metres (.npy, .npz) or millimetres (.png)."""

    refine: FlagCreatePairsOff[bool] = False
    """Make the cameras exact by structure from motion and bundle adjustment, where they can be."""

    ensemble: Annotated[int | None, arg(metavar="K")] = None
    """Fuse K passes that begin with different photos: better, K times slower, and tells errors."""

    upright: Literal["auto", "off"] = "off"
    """Show the network photos that lie on their side upright, where matches are sure of it."""

    keep_world: FlagCreatePairsOff[bool] = False
    """Keep what the world head says, too, for comparison in the viewer."""

    min_conf_percentile: float = 30.0
    """Percentage of each photo's points, the least sure ones, that scene.ply leaves out."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True, kw_only=True)
class Reconstruct(SceneOptions):
    """Turn photos or a video into cameras and a point cloud.

    Writes cameras.json, scene.ply and report.json, and prints the name of the output folder.

    Examples:
      fast3r reconstruct photos/ --output out
      fast3r reconstruct photos/ --output out --format colmap --format glb
      fast3r reconstruct clip.mp4 --output out --fps 2
      fast3r reconstruct photos/ --output out --priors known.json
    """

    photos: Annotated[
        Positional[tuple[str, ...]], arg(metavar="PHOTOS", help_behavior_hint="(required)")
    ]
    """A folder, image files, a pattern such as 'photos/*.jpg', or a video."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the results; made where missing."""
