"""`bundler/bundle.out`: cameras and points as Bundler (Snavely et al. 2006) wrote them.

Its cameras look along -z with y up, have one focal length, two radial coefficients and no principal
point: pixels are counted from it, to the right and up. `list.txt` names the photos in order.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.camera_files.colmap_model import ColmapCamera, ColmapImage, ColmapModel
from fast3r.export.colmap import colmap_model
from fast3r.scene.point_cloud import Cloud
from fast3r.scene.reconstruction import Reconstruction

# The principal point may be off the middle by this share of the width, and the two focal lengths
# apart by this share; the network's own cameras are off by less.
_TOLERANCE = 0.02


class _Lens(NamedTuple):
    focal_px: float
    centre: Float[Tensor, " 2"]
    radial: tuple[float, ...]


def write(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write `bundle.out` and `list.txt` into the folder `path`.

    Raises:
        ValueError: No view has a camera, or one is of a kind that Bundler does not know.
    """
    model = colmap_model(scene, cloud=cloud)
    lenses = {key: _lens(i.name, model.cameras[i.camera_id]) for key, i in model.images.items()}
    lines = ["# Bundle file v0.3", f"{len(model.images)} {len(model.points.ids)}"]
    for key, image in model.images.items():
        lines += _camera(image, lenses[key])
    lines += _points(model, {key: lens.centre for key, lens in lenses.items()})
    path.mkdir(parents=True, exist_ok=True)
    (path / "bundle.out").write_text("\n".join(lines) + "\n", encoding="ascii")
    names = "".join(f"{image.name}\n" for image in model.images.values())
    (path / "list.txt").write_text(names, encoding="utf-8")


def _camera(image: ColmapImage, lens: _Lens) -> list[str]:
    flipped = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    rotation = flipped @ image.camera_from_world[:3, :3]
    translation = flipped @ image.camera_from_world[:3, 3]
    rows = [(lens.focal_px, *lens.radial), *rotation.tolist(), translation.tolist()]
    return [_words(row) for row in rows]


def _lens(name: str, camera: ColmapCamera) -> _Lens:
    """Return what Bundler knows of a camera.

    Raises:
        ValueError: It does not know such cameras.
    """
    if camera.model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"):
        fx, cx, cy, *bent = camera.parameters
        fy, radial = fx, (*bent, 0.0, 0.0)[:2]
    elif camera.model == "PINHOLE":
        (fx, fy, cx, cy), radial = camera.parameters, (0.0, 0.0)
    else:
        raise ValueError(
            f"Bundler's cameras have two radial coefficients at most, and {name} is "
            f"{camera.model}; use colmap"
        )
    off = max(abs(cx - camera.width / 2), abs(cy - camera.height / 2)) / camera.width
    if off > _TOLERANCE or abs(fx / fy - 1) > _TOLERANCE:
        raise ValueError(
            "Bundler's cameras have one focal length and the principal point in the middle, and "
            f"{name} has focal lengths {fx:.1f} and {fy:.1f} px and the principal point at "
            f"({cx:.1f}, {cy:.1f}) of {camera.width}x{camera.height} px; use colmap"
        )
    return _Lens((fx + fy) / 2, torch.tensor([cx, cy], dtype=torch.float64), radial)


def _points(model: ColmapModel, centres: dict[int, Float[Tensor, " 2"]]) -> list[str]:
    points = model.points
    order = {key: place for place, key in enumerate(model.images)}
    upwards = torch.tensor([1.0, -1.0], dtype=torch.float64)
    pixels = {
        key: ((image.xy - centres[key]) * upwards).tolist() for key, image in model.images.items()
    }
    starts = points.track_starts.tolist()
    ends = [*starts[1:], len(points.tracks)]
    tracks, positions, colors = (
        column.tolist() for column in (points.tracks, points.positions, points.colors)
    )
    lines = []
    for position, color, start, end in zip(positions, colors, starts, ends, strict=True):
        seen = [f"{order[i]} {row} {_words(pixels[i][row])}" for i, row in tracks[start:end]]
        lines += [_words(position), _words(color), " ".join([str(end - start), *seen])]
    return lines


def _words(numbers: Iterable[float]) -> str:
    return " ".join(f"{number:.10g}" for number in numbers)
