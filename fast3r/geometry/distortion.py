"""How a lens bends the positions that it shows, and which position a bent one comes from.

The radius t of a position becomes g(t) = t (1 + n1 t^2 + n2 t^4 + ...) / (1 + d1 t^2 + ...), and
the coefficients p1 and p2 shift it to the side. Beyond the t where g turns back the model means
nothing.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

_TABLE = 4097
"""Radii at which g is tabulated, to see where it turns and to start its inverse."""

_STEPS = 20
"""Of Newton; from the table three or four are enough."""

_CONVERGED = 1e-10
"""Residual on the plane z = 1: far below a thousandth of a pixel at any focal length."""


@dataclass(frozen=True)
class Distortion:
    """Takes positions to bent ones, and back; all in float64."""

    above: tuple[float, ...]
    """Numerator of g(t) / t, in powers of t^2."""

    below: tuple[float, ...]
    """Its denominator."""

    p1: float
    """Shifts along the second axis, mostly."""

    p2: float
    """Shifts along the first axis, mostly."""

    farthest: float
    """Radius up to which g is looked at."""

    @property
    def limit(self) -> float:
        """The last radius before g turns back, of those that are looked at."""
        return self._table[0][-1].item()

    @property
    def turns_back(self) -> bool:
        """Whether g does so at all."""
        return len(self._table[0]) < _TABLE

    def bend(self, across: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
        """Return where positions go, those beyond the limit too."""
        square = across.square().sum(dim=-1, keepdim=True)
        u, v = across.split(1, dim=-1)
        shift_u = 2 * self.p1 * u * v + self.p2 * (square + 2 * u.square())
        shift_v = 2 * self.p2 * u * v + self.p1 * (square + 2 * v.square())
        return across * self._factor(square)[0] + torch.cat((shift_u, shift_v), dim=-1)

    def unbend(self, seen: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
        """Return what bends to given positions; nan where nothing does.

        Newton's method, from the inverse of the radial part.
        """
        radius = torch.linalg.vector_norm(seen, dim=-1)
        across = seen * ratio(self._inverse_radius(radius), radius)[..., None]
        for _ in range(_STEPS):
            residual = self.bend(across) - seen
            if not (residual.abs() > _CONVERGED / 100).any():
                break
            a, b, d = self._jacobian(across)
            u, v = residual.unbind(-1)
            step = torch.stack((d * u - b * v, a * v - b * u), dim=-1) / (a * d - b * b)[..., None]
            across = across - step.where(step.isfinite(), 0)
        error = (self.bend(across) - seen).abs().amax(dim=-1)
        a, b, d = self._jacobian(across)
        found = (error < _CONVERGED * (1 + seen.abs().amax(dim=-1))) & (a * d - b * b > 0)
        found &= torch.linalg.vector_norm(across, dim=-1) <= self.limit * (1 + 1e-6)
        return across.where(found[..., None], torch.nan)

    @cached_property
    def _table(self) -> tuple[Float[Tensor, " radii"], Float[Tensor, " radii"]]:
        """Radii t and g(t), up to where g turns back."""
        t = torch.linspace(0, self.farthest, _TABLE, dtype=torch.float64)
        factor, slope = self._factor(t.square())
        rising = (factor + 2 * t.square() * slope > 0) & factor.isfinite()
        end = len(t) if rising.all() else int(rising.int().argmin())
        return t[: max(end, 2)], (t * factor)[: max(end, 2)]

    def _inverse_radius(self, bent: Float[Tensor, "*points"]) -> Float[Tensor, "*points"]:
        """Return about which t has g(t) = `bent`, by the table; its last one beyond."""
        t, g = self._table
        place = torch.searchsorted(g, bent.nan_to_num(0.0).contiguous()).clamp(1, len(t) - 1)
        low, high = g[place - 1], g[place]
        share = ((bent - low) / (high - low)).clamp(0, 1)
        return t[place - 1] + share * (t[place] - t[place - 1])

    def _factor(
        self, square: Float[Tensor, "*points"]
    ) -> tuple[Float[Tensor, "*points"], Float[Tensor, "*points"]]:
        """Return g(t) / t at t^2, and its derivative by t^2."""
        n, dn = _polynomial(self.above, square)
        d, dd = _polynomial(self.below, square)
        return n / d, (dn * d - n * dd) / d.square()

    def _jacobian(
        self, across: Float[Tensor, "*points 2"]
    ) -> tuple[Float[Tensor, "*points"], Float[Tensor, "*points"], Float[Tensor, "*points"]]:
        """Return the derivatives of `bend`: du by u; dv by u, equal to du by v; and dv by v."""
        u, v = across.unbind(-1)
        p1, p2 = self.p1, self.p2
        factor, slope = self._factor(across.square().sum(dim=-1))
        a = factor + 2 * u.square() * slope + 2 * p1 * v + 6 * p2 * u
        b = 2 * u * v * slope + 2 * p1 * u + 2 * p2 * v
        d = factor + 2 * v.square() * slope + 6 * p1 * v + 2 * p2 * u
        return a, b, d


def _polynomial(
    coefficients: tuple[float, ...], x: Float[Tensor, "*points"]
) -> tuple[Float[Tensor, "*points"], Float[Tensor, "*points"]]:
    """Return a polynomial and its derivative, by Horner's rule."""
    value, slope = torch.zeros_like(x), torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        slope = slope * x + value
        value = value * x + coefficient
    return value, slope


def ratio(
    above: Float[Tensor, "*points"], below: Float[Tensor, "*points"]
) -> Float[Tensor, "*points"]:
    """Return a ratio of lengths that is 1 where both vanish."""
    small = below < 1e-12
    return (above / below.where(~small, 1.0)).where(~small, 1.0)
