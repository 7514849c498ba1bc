"""Which frames of a scene are the photos of a case: the same on every machine, in every version."""

import hashlib
from collections.abc import Sequence

from fast3r.data.config import Shape
from fast3r.data.cropping import fit_frame
from fast3r.data.frame import Frame


def random_frames(names: Sequence[str], count: int, *, scene: str, seed: int) -> list[str]:
    """Return `count` random frames of a scene, all if it has fewer, in their given order.

    The choice depends on nothing but the names and the seed. Fewer frames are among more.
    """

    def lot(name: str) -> bytes:
        return hashlib.sha256(f"{seed}/{scene}/{name}".encode()).digest()

    chosen = set(sorted(names, key=lot)[:count])
    return [name for name in names if name in chosen]


def middle_frame(names: Sequence[str], stretch: int, stretches: int) -> str:
    """Return the frame in the middle of one of so many equal stretches of a scene."""
    return names[(2 * stretch + 1) * len(names) // (2 * stretches)]


def at_size(frame: Frame, shape: Shape | None) -> Frame:
    """Return a frame cut around its principal point and scaled to a size; None leaves it alone.

    Photos that are taller than wide get the size turned.

    Raises:
        BrokenFrameError: The principal point is near the edge of the photo.
    """
    if shape is None:
        return frame
    height, width = frame.image.shape[:2]
    return fit_frame(frame, shape.turned if height > width else shape)
