"""Masks written as files, beside which a photo's own name stands: `a.jpg.png`."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from fast3r.views.masking.removal import moved
from fast3r.views.view import View


def mask_file(folder: Path, name: str) -> Path:
    """Return where the mask of a photo or frame belongs: where COLMAP looks for it, too."""
    return folder / f"{name}.png"


def write_mask(view: View, gone: Bool[np.ndarray, "height width"], path: Path) -> None:
    """Write a mask of a view at the size of its photo: black where something is to go.

    The file appears whole or not at all.
    """
    black = moved(
        gone, view.network_from_original, height=view.original_height, width=view.original_width
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    Image.fromarray(~black).convert("L").save(unfinished, format="PNG")
    os.replace(unfinished, path)


def read_written_mask(view: View, path: Path) -> Bool[np.ndarray, "height width"]:
    """Return where a mask file says that something is to go, at the size of its view.

    Raises:
        ValueError: The mask is not of the photo's size.
    """
    with Image.open(path) as image:
        black = np.asarray(image.convert("L")) == 0
    wanted = (view.original_height, view.original_width)
    if black.shape != wanted:
        raise ValueError(
            f"{path} has {black.shape[1]}x{black.shape[0]} px, its photo {wanted[1]}x{wanted[0]}; "
            "masks to be corrected must be of the photo's size"
        )
    return moved(black, view.original_from_network, height=view.height, width=view.width)
