"""What whoever runs the service decides."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fast3r.scene.machine import Precision

KEY_VARIABLE = "FAST3R_API_KEY"
"""Environment variable that holds the key."""


@dataclass(frozen=True)
class Limits:
    """How much the service takes on; everything beyond is refused."""

    queue: int = 20
    """Jobs that wait or arrive at the same time; those at work do not count."""

    views: int = 300
    """Photos and video frames of one job."""

    upload_bytes: int = 1 << 30
    """Size of one submission."""

    upload_s: float = 600.0
    """Time for one submission to arrive."""

    silence_s: float = 30.0
    """Longest pause while a submission arrives."""

    pixels: int = 100_000_000
    """Of one photo, as its header tells before anything is decoded."""

    job_s: float = 1800.0
    """Time for one job to be worked on, and for a model to load."""

    tries: int = 2
    """Starts of one job: one that was cut short by a crash is begun anew so often."""

    keep_s: float = 24 * 3600.0
    """Time from the end of a job until its results are deleted."""

    free_bytes: int = 2 << 30
    """Disk space that submissions leave free."""


@dataclass(frozen=True)
class Settings:
    """One service."""

    folder: Path
    """Where jobs and results are kept; it survives a restart."""

    model: str = "small"
    """As `load_model` takes it."""

    devices: tuple[str, ...] = ("auto",)
    """One worker for each."""

    precision: Literal["auto"] | Precision = "auto"
    """Number format of the transformer."""

    # Not shown where settings are printed.
    api_key: str | None = field(default=None, repr=False)
    """What clients must know; None lets everyone in."""

    local: bool = True
    """Whether only this machine can reach it."""

    limits: Limits = field(default_factory=Limits)
    """How much it takes on."""
