"""What whoever runs the demo decides."""

from dataclasses import dataclass
from typing import Literal

from fast3r.scene.machine import Precision


@dataclass(frozen=True)
class Settings:
    """One demo."""

    models: tuple[str, ...] = ("small", "large")
    """What visitors may choose from, as `load_model` takes it; the first is the default."""

    device: str = "auto"
    """Where to compute."""

    precision: Literal["auto"] | Precision = "auto"
    """Number format of the transformer."""

    host: str = "127.0.0.1"
    """Where to listen."""

    port: int = 7860
    """Where to listen; where it is taken, the next one that is free."""

    share: bool = False
    """Whether to ask gradio.live for a public link."""

    max_views: int = 300
    """Photos and video frames of one visitor."""

    max_upload_mib: float = 1024.0
    """Size of one upload."""

    max_queue: int = 20
    """Visitors that may wait for the device."""

    keep_minutes: float = 60.0
    """Time after which results that nobody looks at are deleted."""
