"""`depth/NAME.npz` and `depth/NAME.png`: one depth map per photo, at network size.

The `.npz` is exact and holds all that is needed to use it; the 16-bit `.png` is for looking at
and for programs that take nothing else.
"""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fast3r.geometry.cameras import Camera
from fast3r.scene.reconstruction import Reconstruction


def write(scene: Reconstruction, path: Path) -> None:
    """Write a depth map for every view that has a camera, into the folder `path`.

    The arrays of the `.npz`: `depth` (distance along the camera's z axis), `confidence`, `mask`
    (False where the pixel is no part of the scene), `intrinsics` in pixels of this depth map,
    `world_from_camera`, `original_from_network` (affine map to pixels of the photo), `units`
    ("metric": metres, or "arbitrary") and `png_scale`. Where the photo has a known lens, that map
    leads to ideal pixels, which `lens_model` with `lens_parameters` (COLMAP's) bends into those of
    the photo. A scene fused from several passes has `depth_uncertainty`, the probable error of each
    depth. In the `.png` a value times `png_scale` is the depth, and 0 means none; the scale is also
    its text chunk `depth_scale`.

    Raises:
        ValueError: No view has a camera, or a view's name leads out of the folder.
    """
    posed = scene.posed_views()
    names = depth_names([view.name for view in scene.views])
    for i, _, camera in posed:
        target = path / names[i]
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_one(scene, i, camera, target)


def depth_names(names: list[str]) -> list[str]:
    """Return a unique file name without ending for each view: its own, folders kept.

    The ending of the photo goes, unless two photos would share a name then, on any file system.
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    taken = Counter(stem.casefold() for stem in stems) + Counter(n.casefold() for n in names)
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"view names must stay inside the folder, got {name!r}")
    pairs = zip(names, stems, strict=True)
    return [name if taken[stem.casefold()] > 1 else stem for name, stem in pairs]


def _write_one(scene: Reconstruction, index: int, camera: Camera, target: Path) -> None:
    depth, present = scene.depth[index].float(), scene.valid(index)
    farthest = depth[present].max().item() if present.any() else 0.0
    png_scale = farthest / 65535 if farthest > 0 else 1.0
    with Path(f"{target}.npz").open("wb") as file:
        arrays = _arrays(scene, index, camera)
        np.savez_compressed(file, **arrays, png_scale=np.array(png_scale))
    # A depth too small for one step still is a depth, and 0 would say that there is none.
    steps = torch.where(present, (depth / png_scale).round().clamp(1, 65535), 0)
    chunks = PngInfo()
    chunks.add_text("depth_scale", repr(png_scale))
    chunks.add_text("units", scene.scale.kind)
    png = Image.fromarray(steps.numpy().astype(np.uint16))
    png.save(f"{target}.png", pnginfo=chunks)


def _arrays(scene: Reconstruction, index: int, camera: Camera) -> dict[str, Any]:
    view, depth = scene.views[index], scene.depth[index].float()
    arrays: dict[str, Any] = {
        "depth": depth.numpy(),
        "confidence": scene.confidence[index].float().numpy(),
        "mask": np.ones(depth.shape, bool) if view.mask is None else view.mask.numpy(),
        "intrinsics": scene.network_intrinsics(index).numpy(),
        "world_from_camera": camera.world_from_camera.numpy(),
        "original_from_network": view.original_from_network.numpy(),
        "units": np.array(scene.scale.kind),
    }
    if view.lens is not None:
        arrays["lens_model"] = np.array(view.lens.model)
        arrays["lens_parameters"] = np.array(view.lens.parameters)
    if scene.uncertainty is not None:
        arrays["depth_uncertainty"] = scene.uncertainty.depth[index].float().numpy()
    return arrays
