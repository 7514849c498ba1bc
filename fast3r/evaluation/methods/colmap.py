"""COLMAP with SIFT on the CPU, from the pixels alone: the classical baseline.

It runs in a process of its own (`colmap_worker.py`), because C++ may abort and does not listen to
Ctrl-C.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fast3r.camera_files.colmap import calibration
from fast3r.camera_files.colmap_model import ColmapModel
from fast3r.camera_files.colmap_reader import read_model
from fast3r.evaluation.benchmark import Answer

_WORKER = "fast3r.evaluation.methods.colmap_worker"
_RECIPE = 1
"""Raised with every change of the worker that changes its models."""


class Colmap:
    """Photos that do not enter the largest model have no camera."""

    def __init__(self, mapping: Literal["incremental", "global"], *, seed: int = 0) -> None:
        """Choose the way.

        Args:
            mapping: "incremental" is COLMAP's own, "global" GLOMAP's.
            seed: Of all sampling.

        Raises:
            ImportError: pycolmap is not installed.
        """
        self._mapping, self._seed = mapping, seed
        try:
            self._version = version("pycolmap")
        except PackageNotFoundError as error:
            raise ImportError("COLMAP needs pycolmap: pip install 'fast3r[refine]'") from error

    @property
    def name(self) -> str:
        """Name in tables and of its folder of results."""
        return f"colmap-{self._mapping}"

    @property
    def settings(self) -> Mapping[str, str | int | float | None]:
        """Everything that decides the answer."""
        return {"recipe": _RECIPE, "pycolmap": self._version, "seed": self._seed}

    def __call__(self, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Answer:
        """Return the cameras of the largest model.

        Raises:
            RuntimeError: COLMAP died, or found no model.
        """
        with TemporaryDirectory(prefix="fast3r-colmap-") as place:
            folder = Path(place)
            names = [self._write_photo(photo, index, folder) for index, photo in enumerate(photos)]
            self._run(folder)
            models = [read_model(path) for path in sorted((folder / "models").iterdir())]
            peak = (folder / "peak.txt").read_text()
        if not models:
            raise RuntimeError("COLMAP found no model: too few matches between the photos")
        largest = max(models, key=lambda model: len(model.images))
        return _answer(largest, names, None if peak == "None" else float(peak))

    def _write_photo(
        self, photo: UInt8[np.ndarray, "height width 3"], index: int, folder: Path
    ) -> str:
        """Write a photo into a folder of its size, and return its name."""
        height, width = photo.shape[:2]
        name = f"{width}x{height}/{index:05}.png"
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(path, compress_level=1)
        return name

    def _run(self, folder: Path) -> None:
        words = [_WORKER, str(folder), self._mapping, str(self._seed)]
        done = subprocess.run(
            [sys.executable, "-m", *words], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            last = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise RuntimeError(f"COLMAP ended with code {done.returncode}: {last}")


def _answer(model: ColmapModel, names: Sequence[str], peak_gib: float | None) -> Answer:
    images = {image.name: image for image in model.images.values()}
    poses: list[Float[np.ndarray, "4 4"] | None] = [None] * len(names)
    intrinsics: list[Float[np.ndarray, "3 3"] | None] = [None] * len(names)
    for index, name in enumerate(names):
        if name in images:
            poses[index] = np.linalg.inv(images[name].camera_from_world.numpy())
            intrinsics[index] = calibration(model.cameras[images[name].camera_id]).intrinsics
    return Answer(poses, intrinsics, [None] * len(names), host_peak_gib=peak_gib)
