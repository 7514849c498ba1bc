"""Masks of the photos, for programs that train on them: black where the scene is not."""

from pathlib import Path

import numpy as np

from fast3r.geometry.cameras import pixels_through
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.masking.files import mask_file, write_mask
from fast3r.views.view import View


def write_masks(scene: Reconstruction, folder: Path) -> bool:
    """Write a mask for each registered view, and return whether there is any need for them.

    As nerfstudio asks for masks of all photos or of none, nothing is written where no mask hides a
    part of a photo. Masks have the size of the photos but the resolution of the network's images.
    Photos with a lens, and panoramas, have none: their masks are those of what the lens bends.
    """
    views = [view for _, view, _ in scene.posed_views()]
    bent = any(view.lens is not None or view.face is not None for view in views)
    if bent or not any(_hides(view) for view in views):
        return False
    for view in views:
        kept = np.ones((view.height, view.width), bool) if view.mask is None else view.mask.numpy()
        write_mask(view, ~kept, mask_file(folder, view.name))
    return True


def _hides(view: View) -> bool:
    """Return whether a mask hides more than the padding beside a narrow photo."""
    if view.mask is None:
        return False
    hidden = (~view.mask).nonzero().flip(-1).double() + 0.5
    x, y = pixels_through(view.original_from_network.double(), hidden).unbind(-1)
    inside = (x > 0) & (x < view.original_width) & (y > 0) & (y < view.original_height)
    return bool(inside.any())
