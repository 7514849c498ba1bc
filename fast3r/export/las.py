"""`scene.laz` and `.las`: the point cloud for surveying software."""

import math
from pathlib import Path

import numpy as np

from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction


def write(scene: Reconstruction, path: Path, *, cloud: PointCloud | None = None) -> None:
    """Write `cloud`, or the scene's own point cloud, in world coordinates; `.laz` compresses.

    Positions are stored as integers in steps of at most a 100-millionth of the scene's extent;
    colours have 16 bits; the confidence is an extra dimension of this name.

    Raises:
        ValueError: No view has a camera.
        ImportError: laspy is not installed.
    """
    try:
        import laspy
    except ImportError as error:
        raise ImportError(
            "writing .laz and .las needs laspy: pip install 'fast3r[export]'"
        ) from error
    cloud = scene.point_cloud() if cloud is None else cloud
    points = cloud.points.double().numpy()
    header = laspy.LasHeader(point_format=7, version="1.4")
    header.add_extra_dim(laspy.ExtraBytesParams(name="confidence", type="f4"))
    header.offsets, header.scales = _grid(points)
    las = laspy.LasData(header)
    las.x, las.y, las.z = points.T
    # 257 takes 8 bits onto the whole range of 16: 255 becomes 65535.
    las.red, las.green, las.blue = cloud.colors.numpy().T.astype(np.uint16) * 257
    las["confidence"] = cloud.confidence.float().numpy()
    las.write(str(path))


def _grid(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the offset and the step of the integers that hold the positions."""
    if len(points) == 0:
        return np.zeros(3), np.full(3, 1e-3)
    low, high = points.min(axis=0), points.max(axis=0)
    extent = max((high - low).max(), 1e-6)
    return low, np.full(3, 10.0 ** math.floor(math.log10(extent * 1e-8)))
