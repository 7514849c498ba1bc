"""`scene.laz` and `.las`: the point cloud for surveying software."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fast3r.scene.point_cloud import Cloud, PointCloud, bounds, parts_of
from fast3r.scene.reconstruction import Reconstruction

if TYPE_CHECKING:
    import laspy


def write(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write `cloud`, or the scene's own point cloud, in world coordinates; `.laz` compresses.

    Positions are stored as integers in steps of at most a 100-millionth of the scene's extent;
    colours have 16 bits; the confidence is an extra dimension of this name.

    Raises:
        ValueError: No view has a camera.
        ImportError: laspy is not installed.
    """
    try:
        import laspy
        from laspy.vlrs.known import ExtraBytesVlr
    except ImportError as error:
        raise ImportError(
            "writing .laz and .las needs laspy: pip install 'fast3r[export]'"
        ) from error
    cloud = scene.view_clouds() if cloud is None else cloud
    header = laspy.LasHeader(point_format=7, version="1.4")
    header.add_extra_dim(laspy.ExtraBytesParams(name="confidence", type="f4"))
    # Not told is the range of the confidence: laspy takes it from the first point alone.
    (extra,) = (vlr for vlr in header.vlrs if isinstance(vlr, ExtraBytesVlr))
    extra.extra_bytes_structs[0].options = 0
    header.offsets, header.scales = _grid(cloud)
    compressed = path.suffix.lower() == ".laz"
    with path.open("w+b") as stream:
        try:
            with laspy.open(
                stream, mode="w", header=header, closefd=False, do_compress=compressed
            ) as file:
                for part in parts_of(cloud):
                    file.write_points(_record(part, header))
        except RuntimeError as error:  # What compresses tells of a full disk in this way.
            raise OSError(f"cannot write {path}: {error}") from error


def _record(part: PointCloud, header: "laspy.LasHeader") -> "laspy.ScaleAwarePointRecord":
    import laspy

    record = laspy.ScaleAwarePointRecord.zeros(len(part), header=header)
    record.x, record.y, record.z = part.points.double().numpy().T
    # 257 takes 8 bits onto the whole range of 16: 255 becomes 65535.
    record.red, record.green, record.blue = part.colors.numpy().T.astype(np.uint16) * 257
    record["confidence"] = part.confidence.float().numpy()
    return record


def _grid(cloud: Cloud) -> tuple[np.ndarray, np.ndarray]:
    """Return the offset and the step of the integers that hold the positions."""
    ends = bounds(cloud)
    if ends is None:
        return np.zeros(3), np.full(3, 1e-3)
    low, high = (end.double().numpy() for end in ends)
    extent = max((high - low).max(), 1e-6)
    return low, np.full(3, 10.0 ** math.floor(math.log10(extent * 1e-8)))
