"""The photos of a COLMAP model with their cameras."""

from pathlib import Path

import numpy as np

from fast3r.camera_files.colmap_model import CAMERA_MODELS, ColmapCamera
from fast3r.camera_files.colmap_reader import read_model
from fast3r.camera_files.records import Calibration, CameraRecord


def read_colmap(folder: Path) -> list[CameraRecord]:
    """Return the photos of a sparse model, binary or text, by name.

    Raises:
        ValueError: There is none, it is damaged, or has a camera model that is not known here.
    """
    model = read_model(folder)
    try:
        return [
            CameraRecord(
                image.name,
                calibration(model.cameras[image.camera_id]),
                np.linalg.inv(image.camera_from_world.numpy()),
            )
            for image in sorted(model.images.values(), key=lambda image: image.name)
        ]
    except (KeyError, ValueError, np.linalg.LinAlgError) as error:
        raise ValueError(f"{folder} holds no COLMAP model that can be read: {error!r}") from error


def calibration(camera: ColmapCamera) -> Calibration:
    """Return a camera as intrinsics and lens.

    Raises:
        ValueError: Its model is not known here, or the number of parameters is not that of the
            model.
    """
    names = CAMERA_MODELS.get(camera.model, "").split()
    if len(names) != len(camera.parameters):
        raise ValueError(f"no camera is a {camera.model} with {len(camera.parameters)} parameters")
    values = dict(zip(names, camera.parameters, strict=True))
    focal = values.pop("f", None)
    fx, fy = (focal, focal) if focal is not None else (values.pop("fx"), values.pop("fy"))
    cx, cy = values.pop("cx"), values.pop("cy")
    return Calibration(
        intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64),
        size=(camera.width, camera.height),
        model=camera.model,
        lens={name: value for name, value in values.items() if value != 0},
    )
