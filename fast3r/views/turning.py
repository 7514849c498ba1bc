"""Views turned by quarter turns: what the network sees upright, though the photo lies on its side.

A turned view is still a view of the same photo. Its `original_from_network` tells how it was
turned, so everything made from it is in the pixels of the original photo and in the frame of the
camera as it was held. That frame and the one of the network's image differ by a rotation about the
optical axis, along which depth is measured, so depth maps are the same in both.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.views.view import View


def turned(view: View, quarter_turns: int) -> View:
    """Return a view whose image is turned clockwise by so many times 90 degrees.

    A view that is decoded when it is looked at is decoded now, unless it stays as it is.
    """
    quarter_turns %= 4
    if quarter_turns == 0:
        return view
    height, width = view.height, view.width
    view_from_turned = {
        1: [[0, 1, 0], [-1, 0, height], [0, 0, 1]],
        2: [[-1, 0, width], [0, -1, height], [0, 0, 1]],
        3: [[0, -1, width], [1, 0, 0], [0, 0, 1]],
    }[quarter_turns]
    mask = view.mask
    affine = view.original_from_network
    return replace(
        view,
        pixels=_rotated(view.pixels, quarter_turns),
        mask=None if mask is None else _rotated(mask, quarter_turns),
        original_from_network=affine @ torch.tensor(view_from_turned).to(affine),
    )


def quarter_turns(view: View) -> int:
    """Return how often the photo was turned clockwise by 90 degrees to give the view's image."""
    # Along the first row of the image the network goes right; this is where that is in the photo.
    right, down = view.original_from_network[:2, 0].tolist()
    turns = -math.atan2(down, right) / (math.pi / 2)
    assert abs(turns - round(turns)) < 1e-3, "views are turned by quarter turns"
    return round(turns) % 4


def network_from_photo_camera(view: View) -> Float[Tensor, "4 4"]:
    """Return the turn about the optical axis from the photo's camera frame to the image's."""
    cosine, sine = {0: (1, 0), 1: (0, 1), 2: (-1, 0), 3: (0, -1)}[quarter_turns(view)]
    turn = torch.eye(4)
    turn[:2, :2] = torch.tensor([[cosine, -sine], [sine, cosine]])
    return turn


def _rotated(picture: Tensor, quarter_turns: int) -> Tensor:
    return torch.rot90(picture, -quarter_turns, dims=(0, 1)).contiguous()
