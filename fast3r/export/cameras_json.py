"""`cameras.json`: every view with its camera, for scripts."""

import json
from pathlib import Path

from fast3r.scene.reconstruction import Reconstruction


def write(scene: Reconstruction, path: Path) -> None:
    """Write cameras in pixels of the original photos, pixel centres at +0.5, OpenCV axes.

    Views without a camera are listed with `registered` false and null matrices.
    """
    views = [_view_entry(scene, i) for i in range(len(scene.views))]
    document = {
        "version": 1,
        "views": views,
        "scale": scene.scale.kind,
        "scale_source": scene.scale.source,
        **world_entries(scene),
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def world_entries(scene: Reconstruction) -> dict[str, object]:
    """Return what the axes are, and on the Earth where they meet."""
    entries: dict[str, object] = {"axes": scene.world.axes}
    if scene.world.origin is not None:
        names = ("latitude_deg", "longitude_deg", "altitude_m")
        entries["origin"] = dict(zip(names, scene.world.origin, strict=True))
    return entries


def _view_entry(scene: Reconstruction, index: int) -> dict[str, object]:
    view, camera = scene.views[index], scene.cameras[index]
    return {
        "name": view.name,
        "width": view.original_width,
        "height": view.original_height,
        "intrinsics": None if camera is None else camera.intrinsics.tolist(),
        "world_from_camera": None if camera is None else camera.world_from_camera.tolist(),
        "registered": camera is not None,
    }
