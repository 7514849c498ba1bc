"""Measured depth maps: found, read, and what they say of the scale of a scene."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.robust import weighted_median
from fast3r.scene.numpy_files import read_arrays
from fast3r.scene.priors.checks import check_positive
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.scales import LENGTH_SIGMA, ScaleVote
from fast3r.scene.priors.types import DepthMaps
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.decode import UnreadablePhotoError, open_image
from fast3r.views.names import Names
from fast3r.views.view import View

_ENDINGS = (".npz", ".npy", ".png")
_ASPECT_TOLERANCE = 0.03
_MAX_PHYSICAL_DEPTH_M = 1000.0
_MIN_PIXELS = 50


def read_depth_maps(
    known: DepthMaps, views: Sequence[View], names: Names
) -> dict[int, Float[Tensor, "_rows _columns"]]:
    """Return depth in metres by view; nan where unknown.

    Raises:
        ValueError: None is found, or one cannot be read, has another shape than its photo, or is
            in another unit.
    """
    check_positive(known.png_unit_m, what="png_unit_m of depth maps")
    check_positive(known.relative_error, what="relative_error of depth maps")
    if isinstance(known.maps, Mapping):
        named = names.by_view(known.maps, what="depth maps")
    else:
        named = _in_folder(known.maps, views)
    maps = {}
    for index, source in named.items():
        what = f"depth map of {views[index].name}"
        stored = _read(source, known.png_unit_m, what) if isinstance(source, Path) else source
        maps[index] = _checked(stored, views[index], what)
    return maps


def _in_folder(folder: Path, views: Sequence[View]) -> dict[int, Path]:
    found = {}
    for index, view in enumerate(views):
        stems = (view.name, PurePosixPath(view.name).with_suffix("").as_posix())
        paths = [folder / f"{stem}{ending}" for stem in stems for ending in _ENDINGS]
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[index] = path
    if not found:
        raise ValueError(
            f"{folder} has no depth map of any view; expected files named like the photos, "
            f"such as {views[0].name}.png, .npy or .npz"
        )
    return found


def _read(path: Path, png_unit_m: float, what: str) -> Float[Tensor, "rows columns"]:
    try:
        if path.suffix == ".png":
            with open_image(path) as image:
                values = np.array(image) * png_unit_m
        else:
            arrays = read_arrays(path)
            values = arrays[""] if "" in arrays else arrays["depth"]
        return torch.from_numpy(np.array(values, dtype=np.float32))
    except (UnreadablePhotoError, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{what}: {path} cannot be read ({error}); expected a 16-bit PNG, an .npy, or an .npz "
            "with the array `depth`"
        ) from error


def _checked(depth: Float[Tensor, "..."], view: View, what: str) -> Float[Tensor, "rows columns"]:
    depth = depth.squeeze()
    if depth.ndim != 2:
        raise ValueError(f"{what}: expected rows and columns, got shape {tuple(depth.shape)}")
    rows, columns = depth.shape
    aspect = columns / rows * view.original_height / view.original_width
    if abs(aspect - 1) > _ASPECT_TOLERANCE:
        raise ValueError(
            f"{what}: it has {columns}x{rows} px; expected the shape of its photo, "
            f"{view.original_width}x{view.original_height} px, at any size"
        )
    depth = depth.to(torch.float32).where(depth.isfinite() & (depth > 0), torch.nan)
    if not depth.isfinite().any():
        raise ValueError(f"{what}: it has no depth at all")
    _check_unit(depth.nanmedian().item(), what)
    return depth


def _check_unit(median_m: float, what: str) -> None:
    if median_m > _MAX_PHYSICAL_DEPTH_M:
        raise ValueError(
            f"{what}: half of the depths are beyond {median_m:.4g} m; are they millimetres? "
            "Divide by 1000, or set png_unit_m for PNG files"
        )
    if median_m < 0.01:
        raise ValueError(
            f"{what}: half of the depths are below {median_m:.2g} m; depth must be in metres"
        )


def depth_votes(
    scene: Reconstruction,
    maps: Mapping[int, Float[Tensor, "_rows _columns"]],
    *,
    relative_error: float,
) -> Iterator[ScaleVote | PriorCheck]:
    """Yield what each depth map says of the scale, or why it says nothing.

    Args:
        scene: Made without them.
        maps: In metres, by view.
        relative_error: Standard deviation of the scale of one map.
    """
    sigma = math.hypot(relative_error, LENGTH_SIGMA)
    for index, measured in maps.items():
        name = f"depth map of {scene.views[index].name}"
        if scene.cameras[index] is None:
            yield PriorCheck.unused(name, f"the view has no camera ({scene.failures[index]})")
            continue
        ratio = _log_ratio(scene, index, measured)
        if ratio is None:
            note = f"fewer than {_MIN_PIXELS} of its pixels are where the scene has depth"
            yield PriorCheck.unused(name, note)
            continue
        yield ScaleVote(name, "depth maps", ratio, sigma)


def _log_ratio(
    scene: Reconstruction, index: int, measured: Float[Tensor, "rows columns"]
) -> float | None:
    """Return the median logarithm of measured over found depth, weighted by confidence."""
    depth = scene.depth[index].flatten().double()
    pixels = scene.valid(index).flatten().nonzero()[:, 0]
    original = scene.original_pixels(index, pixels)
    ratio = (_depth_at(measured, scene.views[index], original) / depth[pixels]).log()
    known = ratio.isfinite()
    if known.sum() < _MIN_PIXELS:
        return None
    confidence = scene.confidence[index].flatten()[pixels].to(ratio)
    return weighted_median(ratio[known], confidence[known]).item()


def _depth_at(
    depth: Float[Tensor, "rows columns"], view: View, original: Float[Tensor, "points 2"]
) -> Float[Tensor, " points"]:
    """Return a depth map where points of the original photo fall into it; nan outside."""
    rows, columns = depth.shape
    x = (original[:, 0] * columns / view.original_width).floor().long()
    y = (original[:, 1] * rows / view.original_height).floor().long()
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    values = depth[y.clamp(0, rows - 1), x.clamp(0, columns - 1)]
    return values.where(inside, torch.nan)
