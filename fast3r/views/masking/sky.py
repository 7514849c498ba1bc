"""Finds the sky in a photo by its colour, its smoothness, and that it reaches the upper edge.

No network: what is bright, blue or grey, smooth, and hangs together with the top of the photo. A
white ceiling passes for an overcast sky, so this is to be switched on by a person.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from fast3r.views.masking.regions import flooded, grown

_COARSE_PX = 128
"""Long side at which regions are followed."""
_LEAST_AREA = 0.01
"""Regions smaller than this share of the photo are no sky."""
_LEAST_EDGE = 0.05
"""Regions that hold less than this share of the upper edge are no sky."""
_ROUGH = 0.045
"""Brightness that changes more than this from one coarse pixel to the next is texture."""


def sky_mask(photo: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "height width"]:
    """Return where a photo, upright and in RGB, shows the sky."""
    height, width = photo.shape[:2]
    colored = _sky_colored(photo)
    block = max(-(-max(height, width) // _COARSE_PX), 1)
    share, brightness = _coarse(colored, block), _coarse(photo.max(axis=-1) / 255, block)
    sky = _hanging_from_the_top((share > 0.5) & (_roughness(brightness) < _ROUGH))
    if not sky.any():
        return np.zeros((height, width), dtype=bool)
    # Within the region wires and birds are sky; at its rim each pixel has its own colour.
    inner = ~grown(~sky, 1)
    fine = [np.kron(mask, np.ones((block, block), bool))[:height, :width] for mask in (inner, sky)]
    return fine[0] | (grown(fine[1], 2 * block) & colored)


def _sky_colored(photo: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "height width"]:
    """Return which pixels are bright and blue, or brighter and nearly grey."""
    red, green, blue = (photo[..., k].astype(np.int16) for k in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    # Between cyan and violet; the sky is never redder than green.
    blueish = (blue >= green) & (green >= red - 6) & (8 * chroma > value) & (value > 95)
    greyish = (6 * chroma <= value) & (value > 165) & (blue >= red - 12)
    return blueish | greyish


def _coarse(values: np.ndarray, block: int) -> Float[np.ndarray, "rows columns"]:
    """Return the mean of each square of so many pixels; edges are repeated to fill the last."""
    height, width = values.shape
    padded = np.pad(values.astype(np.float32), ((0, -height % block), (0, -width % block)), "edge")
    rows, columns = padded.shape[0] // block, padded.shape[1] // block
    return padded.reshape(rows, block, columns, block).mean(axis=(1, 3))


def _roughness(values: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Return how much each pixel differs from the mean of its two neighbours across or down."""
    padded = np.pad(values, 1, "edge")
    across = np.abs(2 * values - padded[1:-1, :-2] - padded[1:-1, 2:]) / 2
    down = np.abs(2 * values - padded[:-2, 1:-1] - padded[2:, 1:-1]) / 2
    return np.maximum(across, down)


def _hanging_from_the_top(allowed: Bool[np.ndarray, "rows columns"]) -> np.ndarray:
    """Return the regions of allowed pixels that reach the upper edge and are large enough."""
    sky = np.zeros_like(allowed)
    for first, last in _runs(allowed[0]):
        if sky[0, first] or last - first < _LEAST_EDGE * allowed.shape[1]:
            continue
        start = np.zeros_like(allowed)
        start[0, first:last] = True
        region = flooded(allowed, start)
        if region.mean() > _LEAST_AREA:
            sky |= region
    return sky


def _runs(allowed: Bool[np.ndarray, " columns"]) -> list[tuple[int, int]]:
    steps = np.flatnonzero(np.diff(np.concatenate(([0], allowed.astype(np.int8), [0]))))
    return [(int(first), int(last)) for first, last in steps.reshape(-1, 2)]
