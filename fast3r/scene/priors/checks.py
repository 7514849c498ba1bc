"""Refuses priors that cannot be true, saying what is probably meant."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import pinhole
from fast3r.geometry.transforms import nearest_rotation
from fast3r.scene.priors.types import Intrinsics
from fast3r.views.view import View

MAX_FIELD_OF_VIEW_DEG = 150.0
"""Along the long side. Wider lenses are no pinholes."""

MIN_FIELD_OF_VIEW_DEG = 2.0
"""Along the long side: a lens of 1000 mm on full frame."""

_MAX_OFF_CENTRE = 0.35
"""Of each side: how far a principal point may be from the centre. Shift lenses and crops reach
0.25; the centre of a photo of half the size is off by 0.25 along both."""

_SHRUNK = 0.2
"""Of each side: a principal point off by so much along both is that of a smaller photo."""

_MAX_DEVIATION = 1e-3
"""Of a rotation from orthogonal: what rounding to four digits makes of it."""

_ROUNDING = 1e-6
"""Of a rotation that is kept to the last digit: that of float32."""

_ASPECT_TOLERANCE = 0.01


def original_matrix(
    intrinsics: Intrinsics, view: View, *, what: str = "intrinsics"
) -> Float[Tensor, "3 3"]:
    """Return intrinsics in pixels of the original photo, in float64.

    Raises:
        ValueError: They cannot be those of the photo.
    """
    width, height = view.original_width, view.original_height
    of_width, of_height = intrinsics.size or (width, height)
    what = f"{what} of {view.name}"
    _check_size(of_width, of_height, view, what)
    focals = intrinsics.focal_px
    fx, fy = focals if isinstance(focals, tuple) else (focals, focals)
    cx, cy = intrinsics.principal_point or (of_width / 2, of_height / 2)
    if not all(math.isfinite(number) for number in (fx, fy, cx, cy)) or min(fx, fy) <= 0:
        raise ValueError(f"{what}: focal lengths must be positive, got {fx} and {fy} px")
    _check_focal(max(fx, fy), of_width, of_height, what)
    _check_principal_point(cx, cy, of_width, of_height, what)
    if not 0.5 < fx / fy < 2:
        raise ValueError(
            f"{what}: focal lengths {fx:.4g} and {fy:.4g} px are of no camera's pixels"
        )
    matrix = pinhole(torch.tensor(fx, dtype=torch.float64), of_height, of_width)
    matrix[1, 1], matrix[0, 2], matrix[1, 2] = fy, cx, cy
    matrix[0] *= width / of_width
    matrix[1] *= height / of_height
    return matrix


def _check_size(of_width: int, of_height: int, view: View, what: str) -> None:
    width, height = view.original_width, view.original_height
    if min(of_width, of_height) <= 0:
        raise ValueError(f"{what}: a photo of {of_width}x{of_height} px does not exist")
    if abs(math.log(of_width / of_height * height / width)) < _ASPECT_TOLERANCE:
        return
    turned = abs(math.log(of_width / of_height * width / height)) < _ASPECT_TOLERANCE
    hint = "they are of the photo before EXIF turned it" if turned else "they are of another photo"
    raise ValueError(
        f"{what}: they are for {of_width}x{of_height} px and the photo has {width}x{height}; {hint}"
    )


def _check_focal(focal_px: float, width: int, height: int, what: str) -> None:
    field_deg = math.degrees(2 * math.atan(max(width, height) / 2 / focal_px))
    if MIN_FIELD_OF_VIEW_DEG <= field_deg <= MAX_FIELD_OF_VIEW_DEG:
        return
    raise ValueError(
        f"{what}: a focal length of {focal_px:.4g} px in {width}x{height} px is a field of view of "
        f"{field_deg:.1f} degrees; focal_px must be in pixels of the original photo, not of a "
        "smaller copy (say which by `size`), not in millimetres"
    )


def _check_principal_point(cx: float, cy: float, width: int, height: int, what: str) -> None:
    right, down = cx / width - 0.5, cy / height - 0.5
    outside = max(abs(right), abs(down)) > 0.5
    of_another_size = abs(right - down) < 0.05 and min(abs(right), abs(down)) > _SHRUNK
    if not outside and not of_another_size and max(abs(right), abs(down)) <= _MAX_OFF_CENTRE:
        return
    place = "outside" if outside else "far from the centre of"
    raise ValueError(
        f"{what}: the principal point ({cx:.4g}, {cy:.4g}) lies {place} the photo of "
        f"{width}x{height} px; if the pixels are of a smaller or larger copy, give its `size`"
    )


def rigid(matrix: Float[Tensor, "rows columns"], *, what: str) -> Float[Tensor, "4 4"]:
    """Return a pose in float64, cleaned of rounding.

    Raises:
        ValueError: It is no rigid transform.
    """
    if matrix.shape not in ((3, 4), (4, 4)) or not matrix.isfinite().all():
        raise ValueError(f"{what}: expected 4x4 finite numbers, got shape {tuple(matrix.shape)}")
    matrix = matrix.to(torch.float64)
    bottom = matrix.new_tensor([0, 0, 0, 1])
    # Inverted matrices end in numbers like 1e-17.
    if len(matrix) == 4 and not torch.allclose(matrix[3], bottom, rtol=0, atol=1e-9):
        raise ValueError(
            f"{what}: the last row must be 0 0 0 1, is {matrix[3].tolist()}; is it transposed?"
        )
    rotation = matrix[:3, :3]
    identity = torch.eye(3, dtype=torch.float64)
    deviation = (rotation.mT @ rotation - identity).abs().max().item()
    if deviation > _MAX_DEVIATION:
        length = torch.linalg.det(rotation).abs().item() ** (1 / 3)
        unit = rotation / max(length, 1e-12)
        scaled = (unit.mT @ unit - identity).abs().max() < _MAX_DEVIATION
        hint = f"; it is a rotation times {length:.4g}: divide by that" if scaled else ""
        raise ValueError(
            f"{what}: the rotation is not orthogonal, off by {deviation:.2g} "
            f"(at most {_MAX_DEVIATION:g}){hint}"
        )
    if torch.linalg.det(rotation) < 0:
        raise ValueError(
            f"{what}: the rotation mirrors (determinant -1); cameras must have OpenCV axes, x "
            "right, y down, z forward, and a right-handed world"
        )
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, 3] = matrix[:3, 3]
    pose[:3, :3] = rotation if deviation < _ROUNDING else nearest_rotation(rotation)
    return pose


def check_places(places: Sequence[Float[Tensor, " 3"]], *, what: str) -> None:
    """Refuse positions so far from the origin that 7 digits do not tell them apart.

    Raises:
        ValueError: They are.
    """
    points = torch.stack(list(places))
    spread = (points - points.mean(dim=0)).abs().max().item()
    farthest = points.abs().max().item()
    if len(points) > 1 and farthest > 1e5 * max(spread, 1e-12):
        raise ValueError(
            f"{what}: positions reach {farthest:.4g} from the origin and differ by {spread:.4g}; "
            "subtract a common offset (UTM or ECEF coordinates?), or give latitude and longitude "
            "as gps"
        )


def check_positive(value: float, *, what: str) -> float:
    """Return a number that is positive and finite.

    Raises:
        ValueError: It is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{what} must be positive, got {value}")
    return value
