"""How well a scene agrees with what was known of it."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PriorCheck:
    """One thing that was known, beside what the scene says of it."""

    prior: str
    """What was known, such as "gps of a.jpg"."""

    status: Literal["agrees", "disagrees", "unused"]
    """What disagrees with the scene or with other priors was left out of what decides about axes
    and scale; a known pose is kept all the same."""

    residual: float = math.nan
    """How far the scene is from it, before a known pose is put in place of the scene's own."""

    allowed: float = math.nan
    """Larger residuals are a contradiction."""

    unit: str = ""
    """Of the residual: m, units (of the world), deg or %."""

    note: str = ""
    """Why it was not used, in words."""

    @classmethod
    def measured(
        cls, prior: str, residual: float, allowed: float, unit: str, note: str = ""
    ) -> "PriorCheck":
        """Return what a residual says: it is a contradiction where it is larger than allowed."""
        status = "agrees" if residual <= allowed else "disagrees"
        return cls(prior, status, residual, allowed, unit, note)

    @classmethod
    def unused(cls, prior: str, note: str) -> "PriorCheck":
        """Return that something was not used, and why."""
        return cls(prior, "unused", note=note)

    def __str__(self) -> str:
        """Say it in a line."""
        if self.status == "unused":
            return f"{self.prior} was not used: {self.note}"
        figures = f"off by {self.residual:.3g} {self.unit}, {self.allowed:.3g} allowed"
        return f"{self.prior} {self.status}: {figures}" + (f"; {self.note}" if self.note else "")
