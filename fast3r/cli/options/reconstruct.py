"""What `fast3r reconstruct` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from fast3r.cli.options import common
from fast3r.cli.options.common import optional


@dataclass(frozen=True)
class SceneOptions:
    """How photos become a scene: what `fast3r reconstruct` and `fast3r batch` have in common."""

    format: common.Formats = ()
    model: common.Model = "small"

    refine: common.Flag = False
    """Make the cameras exact by structure from motion and bundle adjustment, where they can be."""

    fps: common.Fps = None
    num_frames: common.NumFrames = None

    masks: Annotated[Path | None, optional("DIR")] = None
    """Folder of images, named like the photos, that are black where the scene is not."""

    masks_keep: Literal["white", "black"] = "white"
    """What the masks keep: black where they are white on what is to go."""

    remove: Annotated[
        tuple[Literal["sky", "people", "turntable"], ...], optional("{sky,people,turntable} ...")
    ] = ()
    """Leave out the sky, people (needs fast3r[masks]), or what stands still behind a turntable."""

    upright: Literal["auto", "off"] = "off"
    """Show the network photos that lie on their side upright, where matches are sure of it."""

    priors: common.Priors = None

    cameras: Annotated[Path | None, optional("PATH")] = None
    """Cameras you know, of some photos or all: a COLMAP model, transforms.json or cameras.json."""

    lens: Annotated[str | None, optional("MODEL")] = None
    """Lens of all photos: equirectangular, opencv, opencv-fisheye, simple-radial and more."""

    lens_params: Annotated[tuple[float, ...], optional("NUMBER ...")] = ()
    """Numbers of that model as COLMAP has them, such as fx fy cx cy k1 k2 p1 p2; docs/lenses.md."""

    share_focal: Literal["camera", "all", "none"] = "camera"
    """Photos that have one focal length: those of one camera and size, all, or none for sure."""

    intrinsics: Annotated[Literal["exif"] | None, optional("exif")] = None
    """Take focal lengths from EXIF instead of from the network."""

    gps: Annotated[Literal["exif"] | None, optional("exif")] = None
    """Take places from EXIF: the world becomes east, north, up, in metres."""

    gravity: Annotated[Literal["upright"] | None, optional("upright")] = None
    """The photos were taken upright: the world's z axis points up."""

    depth_maps: Annotated[Path | None, optional("DIR")] = None
    """Folder of depth maps, named like the photos, in metres (.npy, .npz) or millimetres (.png)."""

    min_conf_percentile: common.MinConfPercentile = 30.0

    keep_world: common.Flag = False
    """Keep what the world head says, too, for comparison in the viewer."""

    seed: common.Seed = 0
    size: common.Size = None
    device: common.Device = "auto"

    devices: Annotated[tuple[str, ...], optional("NAME ...")] = ()
    """Share each scene over several devices of this machine: cuda:0 cuda:1; see docs/many.md."""

    precision: common.Precision = "auto"
    memory_gib: common.MemoryGib = None
    chunk_views: common.ChunkViews = None

    overlap: Annotated[int | None, optional("M")] = None
    """Photos that a chunk shares with the next one; by default a quarter of --chunk-views."""

    chunk_order: Literal["auto", "given", "similarity"] = "auto"
    """What makes a chunk: photos in the order given, as in videos, or photos that look alike."""

    ensemble: Annotated[int | None, optional("K")] = None
    """Fuse K passes that begin with different photos: better, K times slower, and tells errors."""

    thin: Annotated[float | None, optional("SHARE")] = None
    """Let photos look at a share of the others, such as 0.25: faster, not exact; docs/speed.md."""

    commercial_only: common.CommercialOnly = False
    talk: common.TalkOptions = common.USUAL_TALK


@dataclass(frozen=True, kw_only=True)
class _InOut:
    """Comes first in the help, as bases do from right to left."""

    photos: common.Photos
    output: common.Output


@dataclass(frozen=True, kw_only=True)
class Reconstruct(SceneOptions, _InOut):
    """Turn photos or a video into cameras and a point cloud.

    Writes cameras.json, scene.ply and report.json, and prints the name of the output folder.

    Examples:
      fast3r reconstruct photos/ --output out
      fast3r reconstruct photos/ --output out --format colmap --format glb
      fast3r reconstruct clip.mp4 --output out --fps 2
      fast3r reconstruct photos/ --output out --priors known.json
    """
