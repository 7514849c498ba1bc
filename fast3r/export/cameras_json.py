"""`cameras.json`: every view with its camera, for scripts."""

import json
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from fast3r.scene.panoramas import panoramas
from fast3r.scene.reconstruction import Reconstruction


def write(scene: Reconstruction, path: Path) -> None:
    """Write cameras in pixels of the original photos, pixel centres at +0.5, OpenCV axes.

    Views without a camera are listed with `registered` false and null matrices. A lens that bends
    straight lines is told as COLMAP's model and coefficients, beside the `intrinsics` that belong
    to them. Of a scene fused from several passes, each camera has its `uncertainty`. The faces of a
    panorama are pinhole views, and it is listed once more as a whole.
    """
    views = [_view_entry(scene, i) for i in range(len(scene.views))]
    document = {
        "version": 1,
        "views": views,
        **panorama_entries(scene),
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


def panorama_entries(scene: Reconstruction) -> dict[str, object]:
    """Return the panoramas that the views are faces of; nothing if there are none.

    The middle of a panorama looks along the z axis of its camera, columns are longitudes.
    """
    entries = [
        {
            "name": panorama.face.panorama,
            "model": "EQUIRECTANGULAR",
            "width": panorama.face.panorama_width,
            "height": panorama.face.panorama_height,
            "world_from_camera": _listed(panorama.world_from_camera),
            "registered": panorama.world_from_camera is not None,
            "faces": [scene.views[index].name for index in panorama.views],
        }
        for panorama in panoramas(scene)
    ]
    return {"panoramas": entries} if entries else {}


def _view_entry(scene: Reconstruction, index: int) -> dict[str, object]:
    view, camera = scene.views[index], scene.cameras[index]
    lens = view.lens
    extra = {} if lens is None else {"lens": {"model": lens.model, **lens.coefficients}}
    told = scene.uncertainty and scene.uncertainty.cameras[index]
    if told:
        extra["uncertainty"] = asdict(told)
    return {
        "name": view.name,
        "width": view.original_width,
        "height": view.original_height,
        "intrinsics": _listed(camera and camera.intrinsics),
        "world_from_camera": _listed(camera and camera.world_from_camera),
        "registered": camera is not None,
        **extra,
    }


def _listed(matrix: Tensor | None) -> list[list[float]] | None:
    return None if matrix is None else matrix.tolist()
