"""The files of a frame as DUSt3R's preprocessing scripts write them."""

from pathlib import Path

import numpy as np
import OpenEXR

from tests.datasets.wall import Shot, photograph_wall, write_photo

SEGMENTS = [
    f"segment-{number}_6380_000_6400_000_with_camera_labels.tfrecord"
    for number in (10017090168044687777, 10023947602400723454, 1005081002024129640)
]
FRAMES = ["00000_1", "00000_2", "00001_1", "00001_2", "00007_1"]
PAIRS = [(0, 0, 2), (0, 2, 4), (0, 0, 1), (1, 0, 2), (2, 1, 3)]


def write_exr(path: Path, depth: np.ndarray) -> None:
    """Write one channel called Y, as OpenCV does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"Y": depth.astype(np.float32)}) as file:
        file.write(str(path))


def write_frame(stem: Path, shot: Shot, *, photo: str = "{}.jpg") -> None:
    """Write photo, depth and camera of a frame."""
    write_photo(stem.with_name(photo.format(stem.name)), shot.image)
    write_exr(Path(f"{stem}.exr"), shot.depth_m)
    np.savez(f"{stem}.npz", intrinsics=shot.integer_centred, cam2world=shot.world_from_camera)


def linked(drawn: list[str], links: list[tuple[str, str]]) -> bool:
    """Return whether frames hang together by links between them alone."""
    reached, left = {drawn[0]}, set(drawn[1:])
    while near := {b for a, b in [*links, *[(b, a) for a, b in links]] if a in reached} & left:
        reached |= near
        left -= near
    return not left


def write_waymo(root: Path) -> None:
    """Write three segments of Waymo Open, of which the last is for validation."""
    np.savez(
        root / "waymo_pairs.npz",
        scenes=np.array(SEGMENTS),
        frames=np.array(FRAMES),
        pairs=np.array(PAIRS),
    )
    for segment, *places in PAIRS:
        for place in places:
            write_frame(root / SEGMENTS[segment] / FRAMES[place], photograph_wall(place))
