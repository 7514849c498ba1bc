"""Pictures with known content, and what a view shows of it."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fast3r.views.view import View

ORIENTATION_TAG = 274

UNTURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""From the upright picture to the pixels that a camera held in that way stores."""


def dots(height: int, width: int) -> tuple[Image.Image, np.ndarray]:
    """Return a picture with a red, a green and a blue dot, and their positions (x, y)."""
    centres = np.array([[0.31, 0.27], [0.68, 0.44], [0.42, 0.71]]) * (width, height)
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    radius = min(height, width) / 14
    planes = [
        np.exp(-((y[:, None] - cy) ** 2 + (x[None] - cx) ** 2) / (2 * radius**2))
        for cx, cy in centres
    ]
    return Image.fromarray((np.stack(planes, -1) * 240).round().astype(np.uint8)), centres


def found_dots(view: View) -> np.ndarray:
    """Return where the dots of `dots` lie in the photo, as the view's own map tells."""
    planes = view.pixels.double() * (1 if view.mask is None else view.mask[..., None])
    weight = (planes - 20).clamp(min=0)
    x, y = torch.arange(view.width) + 0.5, torch.arange(view.height) + 0.5
    total = weight.sum((0, 1))
    centres = torch.stack(
        [
            (weight * x[None, :, None]).sum((0, 1)) / total,
            (weight * y[:, None, None]).sum((0, 1)) / total,
            torch.ones(3),
        ]
    )
    return (view.original_from_network.double() @ centres)[:2].T.numpy()


def save_turned(upright: Image.Image, path: Path, orientation: int, **options: object) -> None:
    """Save a picture as a camera does that was held in some way."""
    stored = upright.transpose(UNTURNS[orientation]) if orientation in UNTURNS else upright
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    stored.save(path, exif=exif.tobytes(), **options)


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    """Return a picture of random grey."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    return Image.fromarray(values).convert("RGB")


def save_all(folder: Path, *names: str, height: int = 48, width: int = 64) -> list[Path]:
    """Save a small photo under each name, of that name's kind."""
    paths = [folder / name for name in names]
    for seed, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(height, width, seed).save(path)
    return paths
