"""Results on disk: one JSON file for each benchmark, method and case, written whole or not at all.

FOLDER/BENCHMARK/benchmark.json      what was asked, and how
FOLDER/BENCHMARK/METHOD/CASE.json    figures or error, cost, settings, versions
FOLDER/BENCHMARK/METHOD/CASE.jpg     photos, depth and cameras
FOLDER/BENCHMARK/unreadable/CASE.json  photos that could not be read
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from fast3r.evaluation.benchmark import Benchmark, Method
from fast3r.plain_values import receive
from fast3r.scene.staging import staging

UNREADABLE = "unreadable"
"""Folder of the cases that could not be read, beside those of the methods."""

_MANIFEST = "benchmark.json"

_MAX_PHOTOS = 1_000_000

_Document = TypeVar("_Document")


@dataclass(frozen=True)
class Manifest:
    """What is asked, for those who only have the results."""

    name: str
    """Of the benchmark."""

    protocol: str
    """How it is measured."""

    protocol_hash: str
    """Changes with the protocol, the columns and the cases."""

    columns: tuple[str, ...]
    """Of the figures."""

    published: Mapping[str, Mapping[str, float]]
    """Figures of papers."""

    cases: tuple[str, ...]
    """The ones chosen."""

    cases_of_benchmark: int
    """How many it has."""

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("columns must be one or more")


@dataclass(frozen=True)
class CaseResult:
    """What came of one method on one case."""

    benchmark: str
    """Its name."""

    protocol_hash: str
    """Of the benchmark's manifest."""

    case: str
    """Its name."""

    photos: int
    """How many it has."""

    frames_hash: str
    """Fingerprint of the photos and their true cameras: equal for all methods."""

    method: str
    """Its name."""

    settings: Mapping[str, str | int | float | None]
    """Of the method."""

    figures: Mapping[str, float]
    """Keyed by the columns; those of a failure if there is an error."""

    worst: Mapping[str, float]
    """The figures of a failure: 0 tells that larger is better."""

    error: str | None
    """Why the method failed."""

    traceback: str | None
    """Where it did."""

    seconds: float
    """Wall-clock time of the method."""

    host_peak_gib: float | None
    """Peak memory of the process that the method ran in."""

    device_peak_gib: float | None
    """Peak memory of tensors on CUDA devices."""

    machine: Mapping[str, str]
    """Versions and hardware."""

    def __post_init__(self) -> None:
        if any(math.isinf(value) for value in (*self.figures.values(), *self.worst.values())):
            raise ValueError("figures must be finite, or null where they are not defined")
        if not 0 < self.photos < _MAX_PHOTOS:
            raise ValueError(f"photos must be between 1 and {_MAX_PHOTOS}, got {self.photos}")


@dataclass(frozen=True)
class _Unreadable:
    """A case whose photos could not be read."""

    case: str
    reason: str


@dataclass(frozen=True)
class BenchmarkResults:
    """All that is known of one benchmark."""

    manifest: Manifest
    """What was asked."""

    methods: Mapping[str, Mapping[str, CaseResult]]
    """Results by method and case, in the order of the manifest's cases."""

    unreadable: Mapping[str, str]
    """Why cases could not be read."""

    outdated: int
    """Results that were left out, since the protocol has changed."""

    folder: Path
    """Where all of it is."""

    def picture(self, method: str, case: str) -> Path:
        """Return where the picture of a result is, if there is one."""
        return result_path(self.folder.parent, self.folder.name, method, case, ".jpg")


def manifest_of(benchmark: Benchmark, cases: Sequence[str]) -> Manifest:
    """Return the manifest of a benchmark of which some cases are used."""
    asked = [benchmark.protocol, *benchmark.columns, *benchmark.cases]
    return Manifest(
        name=benchmark.name,
        protocol=benchmark.protocol,
        protocol_hash=hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16],
        columns=tuple(benchmark.columns),
        published={name: dict(figures) for name, figures in benchmark.published.items()},
        cases=tuple(cases),
        cases_of_benchmark=len(benchmark.cases),
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest into the folder of its benchmark."""
    _write(folder / manifest.name / _MANIFEST, asdict(manifest))


def result_path(
    folder: Path, benchmark: str, method: str, case: str, suffix: str = ".json"
) -> Path:
    """Return where the result of a case belongs."""
    return folder / benchmark / method / f"{_file_name(case)}{suffix}"


def write_result(folder: Path, result: CaseResult) -> None:
    """Write a result, in place of an earlier one."""
    path = result_path(folder, result.benchmark, result.method, result.case)
    _write(path, asdict(result))


def is_finished(folder: Path, manifest: Manifest, method: Method, case: str) -> bool:
    """Return whether there is a result of this protocol and of these settings."""
    path = result_path(folder, manifest.name, method.name, case)
    if not path.is_file():
        return False
    result = _read(CaseResult, path)
    same_settings = result.settings == dict(method.settings)
    return result.protocol_hash == manifest.protocol_hash and same_settings


def write_unreadable(folder: Path, benchmark: str, case: str, reason: str) -> None:
    """Write down that a case could not be read."""
    _write(result_path(folder, benchmark, UNREADABLE, case), asdict(_Unreadable(case, reason)))


def forget_unreadable(folder: Path, benchmark: str, case: str) -> None:
    """Remove that note: the case can be read now."""
    result_path(folder, benchmark, UNREADABLE, case).unlink(missing_ok=True)


def read_results(folder: Path) -> list[BenchmarkResults]:
    """Return everything in a folder of results, sorted by benchmark.

    Raises:
        ValueError: There are no results, or a file is damaged.
    """
    manifests = sorted(folder.glob(f"*/{_MANIFEST}"), key=lambda path: _natural(path.parent.name))
    if not manifests:
        raise ValueError(f"{folder} holds no results of fast3r evaluate")
    return [_read_benchmark(path.parent) for path in manifests]


def _read_benchmark(folder: Path) -> BenchmarkResults:
    manifest = _read(Manifest, folder / _MANIFEST)
    methods: dict[str, Mapping[str, CaseResult]] = {}
    outdated = 0
    places = sorted(place for place in folder.iterdir() if place.is_dir())
    for place in places:
        if place.name == UNREADABLE or place.name.startswith("."):
            continue
        paths = list(place.glob("*.json"))
        current = _current_results(paths, manifest)
        outdated += len(paths) - len(current)
        chosen = {case: current[case] for case in manifest.cases if case in current}
        if chosen:
            methods[place.name] = chosen
    notes = [_read(_Unreadable, path) for path in (folder / UNREADABLE).glob("*.json")]
    reasons = {note.case: note.reason for note in notes}
    unreadable = {case: reasons[case] for case in manifest.cases if case in reasons}
    return BenchmarkResults(manifest, methods, unreadable, outdated, folder)


def _current_results(paths: Sequence[Path], manifest: Manifest) -> dict[str, CaseResult]:
    """Return the results of the manifest's protocol, by their case."""
    current = {}
    for path in paths:
        result = _read(CaseResult, path)
        if result.protocol_hash != manifest.protocol_hash:
            continue
        missing = set(manifest.columns) - (result.figures.keys() & result.worst.keys())
        if missing:
            raise ValueError(f"{path} lacks the figures {sorted(missing)}; remove it and run again")
        current[result.case] = result
    return current


def _read(kind: type[_Document], path: Path) -> _Document:
    """Return a document of this room.

    Raises:
        ValueError: The file is none of this version.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_hook=_with_nan)
        return receive(kind, document)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged or of another version of fast3r ({error}); remove it and run again"
        ) from error


def _with_nan(entries: dict[str, object]) -> dict[str, object]:
    """Return an object of a document, in which null stands for figures that are not defined."""
    for key in ("figures", "worst"):
        figures = entries.get(key)
        if isinstance(figures, dict):
            entries[key] = {name: math.nan if v is None else v for name, v in figures.items()}
    return entries


def _write(path: Path, document: Mapping[str, object]) -> None:
    text = json.dumps(_without_nan(document), indent=1, allow_nan=False, ensure_ascii=False)
    with staging(path.parent) as stage:
        (stage / path.name).write_text(text + "\n", encoding="utf-8")


def _without_nan(value: object) -> object:
    """Return a document in which null stands for what JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def _file_name(case: str) -> str:
    """Return a name that every file system takes, different for different cases."""
    safe = re.sub(r"[^\w.+=-]", "_", case)
    if safe == case and not case.startswith(".") and len(case) < 100:
        return case
    return f"{safe.lstrip('.')[:80]}-{hashlib.sha256(case.encode()).hexdigest()[:8]}"


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts 4-views before 10-views."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
