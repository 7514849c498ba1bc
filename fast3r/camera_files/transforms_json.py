"""Reads `transforms.json`, as nerfstudio, instant-ngp and NeRF's synthetic scenes have it."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fast3r.camera_files.records import (
    MISFITS,
    OPENCV_FROM_OPENGL,
    Calibration,
    CameraRecord,
    square_matrix,
)
from fast3r.documents import read_json

_LENS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")


def read_transforms(
    path: Path, *, photo_size: Callable[[str], tuple[int, int]]
) -> list[CameraRecord]:
    """Return the frames of a `transforms.json` in its order.

    What is left out of a frame is as in the middle of square pixels, or the same for all frames.

    Args:
        path: The file.
        photo_size: Tells width and height of a photo by its `file_path`; asked where the file
            does not tell.

    Raises:
        ValueError: The file is something else.
        OSError: It cannot be read.
    """
    try:
        document = read_json(path)
        return [_record({**document, **frame}, photo_size) for frame in document["frames"]]
    except MISFITS as error:
        raise ValueError(
            f"{path} is not understood ({type(error).__name__}: {error}); expected frames with "
            "file_path, transform_matrix and fl_x, fl_y, cx, cy or camera_angle_x, here or for all "
            "frames"
        ) from error


def _record(frame: Mapping[str, Any], photo_size: Callable[[str], tuple[int, int]]) -> CameraRecord:
    name = str(frame["file_path"])
    size = (int(frame["w"]), int(frame["h"])) if "w" in frame else photo_size(name)
    depth = frame.get("depth_file_path")
    return CameraRecord(
        name=name,
        calibration=_calibration(frame, *size),
        world_from_camera=square_matrix(frame["transform_matrix"], 4) @ OPENCV_FROM_OPENGL,
        depth_name=None if depth is None else str(depth),
    )


def _calibration(frame: Mapping[str, Any], width: int, height: int) -> Calibration:
    if "fl_x" in frame:
        fx = float(frame["fl_x"])
    else:
        fx = width / (2 * math.tan(float(frame["camera_angle_x"]) / 2))
    fy = float(frame.get("fl_y", fx))
    cx, cy = float(frame.get("cx", width / 2)), float(frame.get("cy", height / 2))
    model = str(frame.get("camera_model", "PINHOLE")).upper()
    if frame.get("is_fisheye"):
        model = "OPENCV_FISHEYE"
    return Calibration(
        intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64),
        size=(width, height),
        model=model,
        lens={key: float(frame[key]) for key in _LENS if frame.get(key)},
    )
