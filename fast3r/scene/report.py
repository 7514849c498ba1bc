"""`report.json`: how a reconstruction was made, what it cost, and what became of every photo."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from fast3r import __version__
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageCost
from fast3r.scene.staging import staging


@dataclass(frozen=True)
class RunReport:
    """How a reconstruction was made."""

    model: str
    """Name or folder, as the user gave it."""

    model_hash: str
    """Fingerprint of the weights: equal weights, equal hash."""

    device: str
    """Where the network ran, with the name of the hardware."""

    precision: str
    """Number format of the transformer."""

    seed: int
    """What the view indices were drawn from."""

    options: Mapping[str, object]
    """Everything the user could choose, as it was used."""

    stages: list[StageCost]
    """In order."""


def write_report(report: RunReport, scene: Reconstruction, path: Path) -> None:
    """Write the report of a scene as JSON."""
    skipped = [{"name": photo.name, "reason": photo.reason} for photo in scene.skipped]
    unregistered = [
        {"name": view.name, "reason": reason}
        for view, reason in zip(scene.views, scene.failures, strict=True)
        if reason is not None
    ]
    document = {
        "version": 1,
        "versions": {
            "fast3r": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "platform": platform.platform(),
        **asdict(report),
        "views": {
            "used": len(scene.views),
            "registered": len(scene.registered),
            "left_out": len(skipped),
        },
        "left_out": skipped,
        "unregistered": unregistered,
    }
    with staging(path.parent) as stage:
        text = json.dumps(document, indent=1, default=str)
        (stage / path.name).write_text(text + "\n", encoding="utf-8")
