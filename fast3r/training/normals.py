"""Loss on surface normals: a pointmap's shape, whatever its scale."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

# Neighbouring pixels whose points are this much farther apart than in the median of the view's
# pixels lie on different surfaces: no normal.
_JUMP = 4.0


def surface_normals(
    points: Float[Tensor, "*batch height width 3"],
) -> Float[Tensor, "*batch inner_height inner_width 3"]:
    """Return the unit normal at each pixel but the outermost, by central differences."""
    across = points[..., 1:-1, 2:, :] - points[..., 1:-1, :-2, :]
    down = points[..., 2:, 1:-1, :] - points[..., :-2, 1:-1, :]
    # Early in training points may coincide: then there is no direction, and no gradient either.
    return F.normalize(torch.linalg.cross(across, down), dim=-1, eps=1e-12)


def smooth(
    points: Float[Tensor, "*batch height width 3"], valid: Bool[Tensor, "*batch height width"]
) -> Bool[Tensor, "*batch inner_height inner_width"]:
    """Return where all four neighbours are valid and no depth jump lies between them."""
    across = (points[..., 1:-1, 2:, :] - points[..., 1:-1, :-2, :]).norm(dim=-1)
    down = (points[..., 2:, 1:-1, :] - points[..., :-2, 1:-1, :]).norm(dim=-1)
    step = torch.maximum(across, down)
    known = valid[..., 1:-1, 2:] & valid[..., 1:-1, :-2] & valid[..., 2:, 1:-1]
    known = known & valid[..., :-2, 1:-1] & valid[..., 1:-1, 1:-1]
    usual = step.where(known, torch.nan).flatten(-2).nanmedian(dim=-1).values
    return known & (step < _JUMP * usual[..., None, None])


def normal_error(
    made: Float[Tensor, "batch views height width 3"],
    true: Float[Tensor, "batch views height width 3"],
    valid: Bool[Tensor, "batch views height width"],
) -> Float[Tensor, ""]:
    """Return the mean of 1 - cosine between the normals of two maps of the same pixels.

    0 for equal shapes of any scale, 1 for normals at right angles; 0 where nothing is smooth.
    """
    with torch.no_grad():
        where = smooth(true, valid)
        normals = surface_normals(true)
    gap = 1 - (surface_normals(made) * normals).sum(dim=-1)
    return (gap * where).sum() / where.sum().clamp(min=1)
