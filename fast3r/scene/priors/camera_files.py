"""Known cameras from the files of other programs: COLMAP, transforms.json, cameras.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from fast3r.camera_files.cameras_json import says_metric
from fast3r.camera_files.find import find_camera_file, read_camera_file
from fast3r.camera_files.records import CameraRecord
from fast3r.geometry.lenses import Lens
from fast3r.scene.priors.types import Intrinsics, Poses, Priors


def read_known_cameras(
    path: Path,
    *,
    use: Literal["both", "intrinsics", "poses"] = "both",
    metric: bool | None = None,
) -> Priors:
    """Return intrinsics and poses from a camera file, or from a folder that has one.

    Photos that are in the file and not among the views are passed over.

    Args:
        path: A COLMAP model's folder, a transforms.json, a cameras.json, or a folder with one.
        use: What of it is taken as known.
        metric: Whether its unit is the metre; by default only where a cameras.json says so.

    Raises:
        ValueError: There is no camera file, it cannot be read, or a lens is of no known model.
        OSError: It cannot be read.
    """
    place = find_camera_file(path) if path.is_dir() else path
    if place is None:
        raise ValueError(
            f"{path} has no known cameras; expected a COLMAP model (cameras.bin or .txt, also in "
            "sparse/0), a transforms.json or a cameras.json"
        )
    records = read_camera_file(place, photo_size=_unknown_size)
    _refuse_duplicates(records, place)
    intrinsics, poses = None, None
    if use != "poses":
        try:
            intrinsics = {record.name: _intrinsics(record) for record in records}
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    if use != "intrinsics":
        if metric is None:
            metric = place.is_file() and says_metric(place)
        matrices = {r.name: torch.from_numpy(r.world_from_camera) for r in records}
        poses = Poses(matrices, metric=metric)
    return Priors(intrinsics=intrinsics, poses=poses, other_photos=True)


def _unknown_size(name: str) -> tuple[int, int]:
    raise ValueError(f"{name}: its frame tells neither w and h nor, without them, a focal length")


def _refuse_duplicates(records: Sequence[CameraRecord], path: Path) -> None:
    names = [record.name for record in records]
    if not names:
        raise ValueError(f"{path} has no photo with a camera")
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"{path} has two cameras for {twice[0]!r}")


def _intrinsics(record: CameraRecord) -> Intrinsics | Lens:
    lens = record.calibration.known_lens(record.name)
    if lens is not None:
        return lens
    (fx, _, cx), (_, fy, cy), _ = record.calibration.intrinsics.tolist()
    return Intrinsics((fx, fy), (cx, cy), record.calibration.size)
