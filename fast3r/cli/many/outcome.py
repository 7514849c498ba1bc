"""What became of each scene, as its folder tells: nothing else has to be remembered."""

import json
import os
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fast3r.cli.options.reconstruct import Reconstruct
from fast3r.cli.output import requested_formats
from fast3r.scene.report import remove_results
from fast3r.scene.staging import staging
from fast3r.views.sources import find_sources
from fast3r.viz.results import FORMATS

_REPORT, _FAILURE = "report.json", "failure.json"

_ABSENT = (FileNotFoundError, NotADirectoryError)

_IRRELEVANT = ("device", "devices", "talk", "output", "commercial_only")
"""Options that do not change what a scene becomes."""


@dataclass(frozen=True)
class Outcome:
    """What became of one scene."""

    name: str
    """Its folder, inside that of all scenes."""

    status: Literal["finished", "failed", "missing"]
    """Missing is what was not tried yet with these options and photos, or not to the end."""

    reason: str = ""
    """Why it failed."""

    bug: bool = False
    """Whether that was a fault of the program; `failure.json` in the scene's folder has its way."""

    views: int = 0
    """Photos and frames that were used."""

    registered: int = 0
    """Those that found their place."""

    seconds: float = 0.0
    """Time of all stages but loading the model."""


def outcome_of(scene: Reconstruct, output: Path) -> Outcome:
    """Return what became of a scene.

    Results count that were made with the same options, after its photos had last changed.
    """
    name = scene.output.relative_to(output).as_posix()
    failure = _read_if_current(scene, _FAILURE)
    if failure is not None:
        return Outcome(name, "failed", str(failure["reason"]), bool(failure["traceback"]))
    report = _read_if_current(scene, _REPORT)
    if report is None or not _is_complete(scene, report):
        return Outcome(name, "missing")
    return Outcome(
        name,
        "finished",
        views=report["views"]["used"],
        registered=report["views"]["registered"],
        seconds=sum(stage["seconds"] for stage in report["stages"]),
    )


def write_failure(scene: Reconstruct, error: Exception, *, bug: bool) -> None:
    """Remember why a scene failed, instead of what it became earlier.

    Raises:
        OSError: The folder cannot be written to.
    """
    scene.output.mkdir(parents=True, exist_ok=True)
    remove_results(scene.output)
    reason = str(error) or type(error).__name__
    document = {
        "version": 1,
        "reason": f"{type(error).__name__}: {reason}" if bug else reason,
        "traceback": traceback.format_exception(error) if bug else [],
        "options": _options(scene),
    }
    _write(document, scene.output / _FAILURE)


def forget_failure(scene: Reconstruct) -> None:
    """Forget that a scene failed, before it is tried again."""
    (scene.output / _FAILURE).unlink(missing_ok=True)


def write_summary(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write what became of all scenes as JSON."""
    states = [outcome.status for outcome in outcomes]
    document = {
        "version": 1,
        **{state: states.count(state) for state in ("finished", "failed", "missing")},
        "scenes": [asdict(outcome) for outcome in outcomes],
    }
    _write(document, path)


def _write(document: dict[str, Any], path: Path) -> None:
    with staging(path.parent) as stage:
        (stage / path.name).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _read_if_current(scene: Reconstruct, name: str) -> dict[str, Any] | None:
    """Return a document of a scene if it tells of these options and photos."""
    path = scene.output / name
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        current = _relevant(document["options"]) == _relevant(_options(scene))
        return document if current and path.stat().st_mtime >= _changed(scene) else None
    except (*_ABSENT, KeyError, RecursionError, TypeError, ValueError):
        return None


def _is_complete(scene: Reconstruct, report: dict[str, Any]) -> bool:
    """Return whether all formats are there; those that cannot be are tried again."""
    formats = requested_formats(("cameras", "ply", *scene.format))
    there = all((scene.output / FORMATS[name].target).exists() for name in formats)
    return there and report["views"]["registered"] > 0


def _changed(scene: Reconstruct) -> float:
    """Return when the photos, or the folders that hold them, were last changed."""
    try:
        sources = find_sources(scene.photos)
    except ValueError:  # it is told when the scene is tried
        return 0.0
    files = [photo.path for photo in sources.photos] + list(sources.videos.values())
    folders = [Path(photo) for photo in scene.photos if os.path.isdir(photo)]
    return max(path.stat().st_mtime for path in [*files, *folders])


def _options(scene: Reconstruct) -> dict[str, Any]:
    """Return the options as `report.json` has them."""
    return json.loads(json.dumps(asdict(scene), default=str))


def _relevant(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _IRRELEVANT}
