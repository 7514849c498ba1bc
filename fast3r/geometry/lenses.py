"""Lenses that bend straight lines: which pixel of a photo and which ray belong together.

Models and parameters are COLMAP's (https://colmap.github.io/cameras.html), pixel centres at +0.5.
Perspective models bend the position (x/z, y/z) of a ray, fisheyes its angle from the optical axis
(distortion.py). Where a model means nothing, rays and pixels have no partner: nan.

"Ideal" pixels are those of a pinhole camera with the same focal lengths and principal point.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.distortion import Distortion, ratio

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "SIMPLE_RADIAL_FISHEYE": ("f", "cx", "cy", "k1"),
    "RADIAL_FISHEYE": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
}
"""Models, and the names of their parameters in COLMAP's order."""

_FISHEYES = ("SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "OPENCV_FISHEYE")

_MAX_TANGENT = 11.43
"""Of the angle from the axis up to which perspective models are looked at: 85 degrees."""


@dataclass(frozen=True)
class Lens:
    """The calibration of a photo, upright, whose lens may bend straight lines."""

    model: str
    """One of `PARAMETERS`."""

    parameters: tuple[float, ...]
    """In COLMAP's order: focal lengths and principal point in pixels, then coefficients."""

    width: int
    """Columns of the photo that these pixels are of."""

    height: int
    """Rows of the photo."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(float(p) for p in self.parameters))
        self._check()

    @property
    def values(self) -> dict[str, float]:
        """Parameters by name; f stands for fx and fy."""
        values = dict(zip(PARAMETERS[self.model], self.parameters, strict=True))
        focal = values.pop("f", None)
        return values if focal is None else {"fx": focal, "fy": focal, **values}

    @property
    def coefficients(self) -> dict[str, float]:
        """What bends straight lines, by name."""
        pinhole = ("fx", "fy", "cx", "cy")
        return {name: value for name, value in self.values.items() if name not in pinhole}

    @property
    def is_fisheye(self) -> bool:
        """Whether the radius in the photo goes with the angle from the optical axis."""
        return self.model in _FISHEYES

    @property
    def is_pinhole(self) -> bool:
        """Whether straight lines stay straight."""
        return not self.is_fisheye and not any(self.coefficients.values())

    @property
    def intrinsics(self) -> Float[Tensor, "3 3"]:
        """Ideal pixels from rays, in float64."""
        fx, fy, cx, cy = (self.values[name] for name in ("fx", "fy", "cx", "cy"))
        return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)

    def scaled(self, width: int, height: int) -> "Lens":
        """Return the same lens, of the photo at another size."""
        x, y = width / self.width, height / self.height
        factors = {"f": (x * y) ** 0.5, "fx": x, "cx": x, "fy": y, "cy": y}
        pairs = zip(PARAMETERS[self.model], self.parameters, strict=True)
        parameters = tuple(factors.get(name, 1.0) * value for name, value in pairs)
        return replace(self, parameters=parameters, width=width, height=height)

    def distort(self, rays: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 2"]:
        """Return the pixel that shows each ray of any length; nan where the lens shows none."""
        exact = _exact(rays)
        radius = torch.linalg.vector_norm(exact[..., :2], dim=-1)
        z = exact[..., 2]
        if self.is_fisheye:
            t = torch.atan2(radius, z)
            across = exact[..., :2] * ratio(t, radius)[..., None]
        else:
            t = (radius / z).where(z > 0, torch.inf)
            across = exact[..., :2] / z[..., None]
        shown = (t <= self._distortion.limit)[..., None]
        bent = self._distortion.bend(across).where(shown, torch.nan)
        return (bent * self._focal + self._centre).to(rays)

    def undistort(self, pixels: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 3"]:
        """Return the ray of unit length that each pixel shows; nan where there is none."""
        across = self._distortion.unbend((_exact(pixels) - self._centre) / self._focal)
        t = torch.linalg.vector_norm(across, dim=-1)
        if self.is_fisheye:
            rays = torch.cat((across * ratio(t.sin(), t)[..., None], t.cos()[..., None]), dim=-1)
        else:
            rays = torch.cat((across, torch.ones_like(t)[..., None]), dim=-1)
            rays = rays / torch.linalg.vector_norm(rays, dim=-1, keepdim=True)
        return rays.to(pixels)

    def photo_from_ideal(self, ideal: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
        """Return where the photo shows what a pinhole camera sees at these pixels."""
        across = (_exact(ideal) - self._centre) / self._focal
        rays = torch.cat((across, torch.ones_like(across[..., :1])), dim=-1)
        return self.distort(rays).to(ideal)

    def ideal_from_photo(self, pixels: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
        """Return where a pinhole camera sees what the photo shows; nan beside and behind it."""
        rays = self.undistort(_exact(pixels))
        ideal = rays[..., :2] / rays[..., 2:] * self._focal + self._centre
        return ideal.where(rays[..., 2:] > 1e-6, torch.nan).to(pixels)

    @cached_property
    def _focal(self) -> Float[Tensor, " 2"]:
        return self.intrinsics.diagonal()[:2]

    @cached_property
    def _centre(self) -> Float[Tensor, " 2"]:
        return self.intrinsics[:2, 2]

    @cached_property
    def _distortion(self) -> Distortion:
        k = [self.values.get(f"k{i}", 0.0) for i in range(1, 7)]
        rational = self.model == "FULL_OPENCV"
        return Distortion(
            above=(1.0, *(k[:3] if rational else k[:4])),
            below=(1.0, *(k[3:] if rational else ())),
            p1=self.values.get("p1", 0.0),
            p2=self.values.get("p2", 0.0),
            farthest=torch.pi if self.is_fisheye else _MAX_TANGENT,
        )

    def _check(self) -> None:
        """Refuse what is no lens of this photo."""
        names = PARAMETERS.get(self.model)
        if names is None:
            raise ValueError(
                f"no lens is called {self.model!r}; known are {', '.join(PARAMETERS)} "
                "(undistort the photos of others first: colmap image_undistorter)"
            )
        if len(self.parameters) != len(names):
            raise ValueError(
                f"{self.model} has {len(names)} parameters ({' '.join(names)}), "
                f"got {len(self.parameters)}"
            )
        if not torch.tensor(self.parameters).isfinite().all():
            raise ValueError(f"parameters of {self.model} must be finite, got {self.parameters}")
        if min(self.values["fx"], self.values["fy"]) <= 0:
            raise ValueError(f"focal lengths must be positive, got {self._focal.tolist()} px")
        if min(self.width, self.height) <= 0:
            raise ValueError(f"a photo of {self.width}x{self.height} px does not exist")
        self._check_that_edges_are_shown()

    def _check_that_edges_are_shown(self) -> None:
        """Refuse a model that turns back before the middle of the nearest edge.

        Corners may lie beyond, as fits with few coefficients are often wrong there.
        """
        cx, cy = self._centre.tolist()
        nearest = min(cx, self.width - cx, cy, self.height - cy)
        if nearest <= 0:
            return  # A principal point outside is for those to refuse who know the photo.
        angle = torch.linspace(0, 2 * torch.pi, 73, dtype=torch.float64)
        ring = self._centre + 0.99 * nearest * torch.stack((angle.cos(), angle.sin()), dim=-1)
        if self.undistort(ring).isfinite().all():
            return
        if not self._distortion.turns_back:
            raise ValueError(
                f"with focal lengths of {self._focal[0]:g} and {self._focal[1]:g} px the edges of "
                f"a photo of {self.width}x{self.height} px are more than "
                f"{'180' if self.is_fisheye else '85'} degrees from the axis of {self.model}; they "
                "must be in pixels of this photo, not in millimetres, and wide lenses need a "
                "fisheye model"
            )
        told = ", ".join(f"{name} {value:g}" for name, value in self.coefficients.items())
        raise ValueError(
            f"the distortion of {self.model} ({told}) folds over inside the photo of "
            f"{self.width}x{self.height} px, less than {nearest:.0f} px from its principal point, "
            "so its pixels have no rays; check signs and order of the coefficients, and that the "
            "focal length is in pixels of this photo"
        )


def photo_from_ideal(
    ideal: Float[Tensor, "*points 2"], lens: Lens | None
) -> Float[Tensor, "*points 2"]:
    """Return `Lens.photo_from_ideal`; without a lens the photo is the ideal one."""
    return ideal if lens is None else lens.photo_from_ideal(ideal)


def ideal_from_photo(
    pixels: Float[Tensor, "*points 2"], lens: Lens | None
) -> Float[Tensor, "*points 2"]:
    """Return `Lens.ideal_from_photo`; without a lens the photo is the ideal one."""
    return pixels if lens is None else lens.ideal_from_photo(pixels)


def _exact(points: Float[Tensor, "*points axes"]) -> Float[Tensor, "*points axes"]:
    """Return points in float64, which not every device has."""
    return points.to("cpu", torch.float64)
