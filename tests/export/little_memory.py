"""Run in a process of its own: writes 45 views in less memory than their points would take.

python -m tests.export.little_memory
"""

import sys
import tempfile
from pathlib import Path

import torch

from fast3r.export.formats import save
from fast3r.geometry.cameras import Camera, pinhole
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.view import View
from tests.scene.short_of_memory import leave

ROWS, COLUMNS = 192, 256


def scene_of(views: int) -> Reconstruction:
    """Return views that all have the same photo and depth, so that the scene itself is small."""
    photo = torch.zeros(ROWS, COLUMNS, 3, dtype=torch.uint8)
    depth, confidence = torch.ones(ROWS, COLUMNS), 1 + torch.rand(ROWS, COLUMNS)
    camera = Camera(pinhole(torch.tensor(300.0), ROWS, COLUMNS), torch.eye(4), ROWS, COLUMNS)
    return Reconstruction(
        views=[View(photo, torch.eye(3), f"{i}.jpg", ROWS, COLUMNS) for i in range(views)],
        cameras=[camera] * views,
        depth=[depth] * views,
        confidence=[confidence] * views,
        failures=[None] * views,
        skipped=[],
        scale=Scale(),
    )


def main() -> None:
    """Write what fits, and show that all points together do not."""
    names = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:  # libraries make room for themselves on first use
            save(scene_of(2), Path(folder, "first", name))
        scene = scene_of(45)
        leave(32)
        for name in names:
            save(scene, Path(folder, name), cloud=scene.view_clouds())
            print(name, Path(folder, name).stat().st_size)
        try:
            scene.point_cloud()
        except RuntimeError as error:
            print("at once:", "can't allocate memory" in str(error))


if __name__ == "__main__":
    main()
