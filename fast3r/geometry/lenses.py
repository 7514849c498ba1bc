"""Lenses that bend straight lines: which pixel of a photo and which ray belong together.

Models and parameters are COLMAP's (https://colmap.github.io/cameras.html), pixel centres at +0.5.
Perspective models bend the position (x/z, y/z) of a ray, fisheyes its angle from the optical axis:
the radius t of either becomes g(t) = t (1 + n1 t^2 + n2 t^4 + ...) / (1 + d1 t^2 + ...). Beyond
the t where g turns back the model means nothing, and rays and pixels there have no partner: nan.

"Ideal" pixels are those of a pinhole camera with the same focal lengths and principal point.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

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

_TABLE = 4097
"""Radii at which g is tabulated, to see where it turns and to start its inverse."""

_STEPS = 20
"""Of Newton; from the table three or four are enough."""

_CONVERGED = 1e-10
"""Residual on the plane z = 1: far below a thousandth of a pixel at any focal length."""


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
        values, matrix = self.values, torch.eye(3, dtype=torch.float64)
        matrix[0, 0], matrix[1, 1] = values["fx"], values["fy"]
        matrix[0, 2], matrix[1, 2] = values["cx"], values["cy"]
        return matrix

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
            across = exact[..., :2] * _ratio(t, radius)[..., None]
        else:
            t = (radius / z).where(z > 0, torch.inf)
            across = exact[..., :2] / z[..., None]
        bent = self._bent(across).where((t <= self._limit)[..., None], torch.nan)
        return (bent * self._focal + self._centre).to(rays)

    def undistort(self, pixels: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 3"]:
        """Return the ray of unit length that each pixel shows; nan where there is none.

        Newton's method, from the inverse of the radial part.
        """
        seen = (_exact(pixels) - self._centre) / self._focal
        radius = torch.linalg.vector_norm(seen, dim=-1)
        start = seen * _ratio(self._inverse_radius(radius), radius)[..., None]
        across, converged = self._newton(seen, start)
        t = torch.linalg.vector_norm(across, dim=-1)
        if self.is_fisheye:
            rays = torch.cat((across * _ratio(t.sin(), t)[..., None], t.cos()[..., None]), dim=-1)
        else:
            rays = torch.cat((across, torch.ones_like(t)[..., None]), dim=-1)
            rays = rays / torch.linalg.vector_norm(rays, dim=-1, keepdim=True)
        shown = converged & (t <= self._limit * (1 + 1e-6))
        return rays.where(shown[..., None], torch.nan).to(pixels)

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
    def _polynomials(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Numerator and denominator of g(t) / t, in powers of t^2."""
        k = [self.values.get(f"k{i}", 0.0) for i in range(1, 7)]
        if self.model == "FULL_OPENCV":
            return (1.0, *k[:3]), (1.0, *k[3:])
        return (1.0, *k[:4]), (1.0,)

    @cached_property
    def _table(self) -> tuple[Float[Tensor, " radii"], Float[Tensor, " radii"]]:
        """Radii t and g(t), up to where g turns back."""
        farthest = torch.pi if self.is_fisheye else _MAX_TANGENT
        t = torch.linspace(0, farthest, _TABLE, dtype=torch.float64)
        factor, slope = self._factor(t.square())
        rising = (factor + 2 * t.square() * slope > 0) & factor.isfinite()
        end = len(t) if rising.all() else int(rising.int().argmin())
        return t[: max(end, 2)], (t * factor)[: max(end, 2)]

    @property
    def _limit(self) -> Float[Tensor, ""]:
        return self._table[0][-1]

    def _factor(
        self, square: Float[Tensor, "*points"]
    ) -> tuple[Float[Tensor, "*points"], Float[Tensor, "*points"]]:
        """Return g(t) / t at t^2, and its derivative by t^2."""
        above, below = self._polynomials
        n, dn = _polynomial(above, square)
        d, dd = _polynomial(below, square)
        return n / d, (dn * d - n * dd) / d.square()

    def _bent(self, across: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
        square = across.square().sum(dim=-1, keepdim=True)
        p1, p2 = self.values.get("p1", 0.0), self.values.get("p2", 0.0)
        u, v = across.split(1, dim=-1)
        shift_u = 2 * p1 * u * v + p2 * (square + 2 * u.square())
        shift_v = 2 * p2 * u * v + p1 * (square + 2 * v.square())
        return across * self._factor(square)[0] + torch.cat((shift_u, shift_v), dim=-1)

    def _inverse_radius(self, bent: Float[Tensor, "*points"]) -> Float[Tensor, "*points"]:
        """Return about which t has g(t) = `bent`, by the table; its last one beyond."""
        t, g = self._table
        place = torch.searchsorted(g, bent.nan_to_num(0.0).contiguous()).clamp(1, len(t) - 1)
        low, high = g[place - 1], g[place]
        share = ((bent - low) / (high - low)).clamp(0, 1)
        return t[place - 1] + share * (t[place] - t[place - 1])

    def _newton(
        self, seen: Float[Tensor, "*points 2"], across: Float[Tensor, "*points 2"]
    ) -> tuple[Float[Tensor, "*points 2"], Bool[Tensor, "*points"]]:
        """Return what bends to what is seen, and whether that was found."""
        for _ in range(_STEPS):
            residual = self._bent(across) - seen
            if not (residual.abs() > _CONVERGED / 100).any():
                break
            a, b, d = self._jacobian(across)
            u, v = residual.unbind(-1)
            step = torch.stack((d * u - b * v, a * v - b * u), dim=-1) / (a * d - b * b)[..., None]
            across = across - step.where(step.isfinite(), 0)
        error = (self._bent(across) - seen).abs().amax(dim=-1)
        a, b, d = self._jacobian(across)
        return across, (error < _CONVERGED * (1 + seen.abs().amax(dim=-1))) & (a * d - b * b > 0)

    def _jacobian(
        self, across: Float[Tensor, "*points 2"]
    ) -> tuple[Float[Tensor, "*points"], Float[Tensor, "*points"], Float[Tensor, "*points"]]:
        """Return the derivatives of `_bent`: du by u; dv by u, equal to du by v; and dv by v."""
        u, v = across.unbind(-1)
        p1, p2 = self.values.get("p1", 0.0), self.values.get("p2", 0.0)
        factor, slope = self._factor(across.square().sum(dim=-1))
        a = factor + 2 * u.square() * slope + 2 * p1 * v + 6 * p2 * u
        b = 2 * u * v * slope + 2 * p1 * u + 2 * p2 * v
        d = factor + 2 * v.square() * slope + 6 * p1 * v + 2 * p2 * u
        return a, b, d

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
        if len(self._table[0]) == _TABLE:
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


def _polynomial(
    coefficients: tuple[float, ...], x: Float[Tensor, "*points"]
) -> tuple[Float[Tensor, "*points"], Float[Tensor, "*points"]]:
    """Return a polynomial and its derivative, by Horner's rule."""
    value, slope = torch.zeros_like(x), torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        slope = slope * x + value
        value = value * x + coefficient
    return value, slope


def _ratio(
    above: Float[Tensor, "*points"], below: Float[Tensor, "*points"]
) -> Float[Tensor, "*points"]:
    """Return a ratio of lengths that is 1 where both vanish."""
    small = below < 1e-12
    return (above / below.where(~small, 1.0)).where(~small, 1.0)
