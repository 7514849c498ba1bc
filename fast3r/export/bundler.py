"""`bundler/bundle.out`: cameras and points as Bundler (Snavely et al. 2006) wrote them.

Its cameras look along -z with y up, have one focal length, two radial coefficients and no principal
point: pixels are counted from it, to the right and up. `list.txt` names the photos in order.
"""

from pathlib import Path

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


def write(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write `bundle.out` and `list.txt` into the folder `path`.

    Raises:
        ValueError: No view has a camera, or one is of a kind that Bundler does not know.
    """
    model = colmap_model(scene, cloud=cloud)
    order = {key: place for place, key in enumerate(sorted(model.images))}
    images = [model.images[key] for key in sorted(model.images)]
    lines = ["# Bundle file v0.3", f"{len(images)} {len(model.points.ids)}"]
    for image in images:
        lines += _camera(image, model.cameras[image.camera_id])
    lines += _points(model, order)
    path.mkdir(parents=True, exist_ok=True)
    (path / "bundle.out").write_text("\n".join(lines) + "\n", encoding="ascii")
    names = "".join(f"{image.name}\n" for image in images)
    (path / "list.txt").write_text(names, encoding="utf-8")


def _camera(image: ColmapImage, camera: ColmapCamera) -> list[str]:
    focal_px, _, radial = _lens(image.name, camera)
    flipped = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    rotation = flipped @ image.camera_from_world[:3, :3]
    translation = flipped @ image.camera_from_world[:3, 3]
    rows = [_words([focal_px, *radial])]
    return rows + [_words(row.tolist()) for row in (*rotation, translation)]


def _lens(
    name: str, camera: ColmapCamera
) -> tuple[float, Float[Tensor, " 2"], tuple[float, float]]:
    """Return focal length, principal point and radial coefficients.

    Raises:
        ValueError: Bundler does not know such cameras.
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
    return (fx + fy) / 2, torch.tensor([cx, cy], dtype=torch.float64), (radial[0], radial[1])


def _points(model: ColmapModel, order: dict[int, int]) -> list[str]:
    points, lines = model.points, []
    ends = [*points.track_starts.tolist()[1:], len(points.tracks)]
    pixels = {key: _from_centre(model, key) for key in order}
    for i, (start, end) in enumerate(zip(points.track_starts.tolist(), ends, strict=True)):
        track = points.tracks[start:end].tolist()
        seen = [
            f"{order[image]} {row} {_words(pixels[image][row].tolist())}" for image, row in track
        ]
        lines += [_words(points.positions[i].tolist()), _bytes(points.colors[i].tolist())]
        lines.append(" ".join([str(len(track)), *seen]))
    return lines


def _from_centre(model: ColmapModel, key: int) -> Float[Tensor, "observations 2"]:
    """Return the pixels of an image to the right of and above its principal point."""
    image = model.images[key]
    _, centre, _ = _lens(image.name, model.cameras[image.camera_id])
    return (image.xy - centre) * torch.tensor([1.0, -1.0], dtype=torch.float64)


def _words(numbers: list[float]) -> str:
    return " ".join(f"{number:.10g}" for number in numbers)


def _bytes(numbers: list[int]) -> str:
    return " ".join(map(str, numbers))
