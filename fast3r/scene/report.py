"""`report.json`: how a reconstruction was made, what it cost, and what became of every photo."""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from fast3r import __version__
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageCost, StageRecorder
from fast3r.scene.staging import staging
from fast3r.views.turning import quarter_turns


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

    plan: Mapping[str, object] | None = None
    """How the run was arranged so that it fits, and what it was expected to take."""

    told: Sequence[str] = ()
    """What the user was told meanwhile: the plan, and where it had to step down."""

    def as_planned(self, recorder: StageRecorder) -> "RunReport":
        """Return the report of the same run with the plan that was carried out."""
        if recorder.plan is None:
            return self
        precision = recorder.plan.setting.precision
        plan = asdict(recorder.plan)
        return replace(self, precision=precision, plan=plan, told=recorder.lines)


def write_report(
    report: RunReport, scene: Reconstruction, path: Path, *, files: Sequence[Path] = ()
) -> None:
    """Write the report of a scene as JSON, with the names of the other files of the run."""
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
        "scale": asdict(scene.scale),
        "world": asdict(scene.world),
        "priors": prior_entries(scene),
        "refinement": refinement_entry(scene),
        "turned": _turned_entries(scene),
        "ensemble": _ensemble_entry(scene),
        "long": None if scene.long is None else asdict(scene.long),
        "files": [file.as_posix() for file in files],
    }
    with staging(path.parent) as stage:
        text = json.dumps(document, indent=1, default=str)
        (stage / path.name).write_text(text + "\n", encoding="utf-8")


def _turned_entries(scene: Reconstruction) -> list[dict[str, object]]:
    """Return the photos that the network saw turned."""
    ways = [(view.name, quarter_turns(view)) for view in scene.views]
    return [{"name": name, "clockwise_deg": 90 * turns} for name, turns in ways if turns]


def _ensemble_entry(scene: Reconstruction) -> dict[str, object] | None:
    """Return what several passes say of the scene, with each view's entry under its name."""
    told = scene.uncertainty
    if told is None:
        return None
    views = [
        {"name": view.name, **asdict(camera)}
        for view, camera in zip(scene.views, told.cameras, strict=True)
        if camera is not None
    ]
    return {
        "passes": told.passes,
        "aligned": told.aligned,
        "calibration": asdict(told.calibration),
        "views": views,
    }


def prior_entries(scene: Reconstruction) -> list[dict[str, object]]:
    """Return how well the scene agrees with each thing that was known."""
    return [_check_entry(check) for check in scene.prior_checks]


def _check_entry(check: PriorCheck) -> dict[str, object]:
    """Return a check as JSON has it, which has no nan."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(check).items()
    }


def refinement_entry(scene: Reconstruction) -> dict[str, object] | None:
    """Return the record of a refinement, with each view's entry under its name."""
    record = scene.refinement
    if record is None:
        return None
    names = [view.name for view in scene.views]
    views = [{"name": n, **asdict(v)} for n, v in zip(names, record.views, strict=True)]
    return {**asdict(record), "refined": record.refined, "parts": record.parts, "views": views}


def remove_results(directory: Path) -> None:
    """Remove what an earlier run wrote into a folder: the files its report names, and the report.

    Without a report nothing goes but the points, which every run would replace: what else is
    there may be the user's own.

    Raises:
        OSError: A permission is missing.
    """
    report = directory / "report.json"
    names = [*_named_files(report), "scene.ply", "report.json"]
    for path in (Path(name) for name in names):
        # A report that was tampered with must not reach beyond its folder.
        if path.is_absolute() or ".." in path.parts or (directory / path).is_dir():
            continue
        with suppress(FileNotFoundError, NotADirectoryError):
            (directory / path).unlink()
        for folder in path.parents[:-1]:
            with suppress(OSError):
                (directory / folder).rmdir()


def _named_files(report: Path) -> list[str]:
    try:
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    if not isinstance(files, list):
        return []
    return [file for file in files if isinstance(file, str) and "\0" not in file]
