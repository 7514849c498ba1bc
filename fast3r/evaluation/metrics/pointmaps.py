"""Errors of pointmaps, pixel by pixel."""

from jaxtyping import Bool, Float
from torch import Tensor


def pointmap_error(
    predicted: Float[Tensor, "views height width 3"],
    truth: Float[Tensor, "views height width 3"],
    valid: Bool[Tensor, "views height width"],
) -> float:
    """Return the mean distance between points, each map in units of its own mean distance.

    This is the error inside the training loss: 0 is perfect, 1 is as far off as the scene is far.
    Nan where nothing is valid.
    """
    made, true = predicted[valid], truth[valid]
    made = made / made.norm(dim=-1).mean().clamp(min=1e-8)
    true = true / true.norm(dim=-1).mean().clamp(min=1e-8)
    return (made - true).norm(dim=-1).mean().item()
