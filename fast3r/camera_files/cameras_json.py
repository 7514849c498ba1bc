"""Reads `cameras.json`, as this library writes it, and a plain one with integer pixel centres."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fast3r.camera_files.records import MISFITS, Calibration, CameraRecord, square_matrix
from fast3r.documents import read_json


def read_cameras(path: Path) -> list[CameraRecord]:
    """Return the photos of a `cameras.json` that have a camera, in its order.

    Instead of `views`, as this library writes them, there may be `images` with `file`, `K` whose
    top-left pixel has its centre at 0, and `c2w`.

    Raises:
        ValueError: The file is something else.
        OSError: It cannot be read.
    """
    try:
        document = read_json(path)
        if "views" in document:
            return [_view(v) for v in document["views"] if v.get("registered", True)]
        return [_image(image) for image in document["images"]]
    except MISFITS as error:
        raise ValueError(
            f"{path} is not understood ({type(error).__name__}: {error}); expected views with "
            "name, width, height, intrinsics and world_from_camera, as fast3r writes them, or "
            "images with file, K and c2w"
        ) from error


def _view(view: Mapping[str, Any]) -> CameraRecord:
    lens = dict(view.get("lens") or {"model": "PINHOLE"})
    calibration = Calibration(
        intrinsics=square_matrix(view["intrinsics"], 3),
        size=(int(view["width"]), int(view["height"])),
        model=str(lens.pop("model")),
        lens={name: float(value) for name, value in lens.items() if value != 0},
    )
    return CameraRecord(str(view["name"]), calibration, square_matrix(view["world_from_camera"], 4))


def _image(image: Mapping[str, Any]) -> CameraRecord:
    half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    calibration = Calibration(square_matrix(image["K"], 3) + half, None)
    return CameraRecord(str(image["file"]), calibration, square_matrix(image["c2w"], 4))


def says_metric(path: Path) -> bool:
    """Return whether a JSON file says that its unit is the metre, as ours do."""
    document = read_json(path)
    return isinstance(document, dict) and document.get("scale") == "metric"
