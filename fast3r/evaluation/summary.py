"""Figures of many cases as one row a method."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fast3r.evaluation.results import BenchmarkResults, CaseResult


@dataclass(frozen=True)
class Row:
    """One method on one benchmark."""

    method: str
    """Its name."""

    cases: int
    """How many it has answered or failed on."""

    failed: int
    """On how many it failed."""

    photos: float
    """Of a case, in the mean."""

    figures: Mapping[str, float]
    """Mean over the cases where a figure is defined; nan where it is in none."""

    undefined: Mapping[str, int]
    """In how many cases a figure is not defined."""

    seconds: float
    """Of a case, in the median."""

    host_peak_gib: float | None
    """Highest memory of the process over all cases that did not fail."""

    device_peak_gib: float | None
    """Highest memory of CUDA devices over the same."""


def summarized(results: BenchmarkResults) -> list[Row]:
    """Return a row for each method, in the order of their names."""
    return [
        _row(method, list(cases.values()), results.manifest.columns)
        for method, cases in results.methods.items()
    ]


def _row(method: str, results: Sequence[CaseResult], columns: Sequence[str]) -> Row:
    defined = {column: _defined(results, column) for column in columns}
    # Memory that another process took is not known of cases that it failed on.
    answered = [result for result in results if result.error is None] or results
    return Row(
        method=method,
        cases=len(results),
        failed=sum(result.error is not None for result in results),
        photos=statistics.fmean(result.photos for result in results),
        figures={c: statistics.fmean(vs) if vs else math.nan for c, vs in defined.items()},
        undefined={c: len(results) - len(vs) for c, vs in defined.items()},
        seconds=statistics.median(result.seconds for result in results),
        host_peak_gib=_highest([result.host_peak_gib for result in answered]),
        device_peak_gib=_highest([result.device_peak_gib for result in answered]),
    )


def _defined(results: Sequence[CaseResult], column: str) -> list[float]:
    """Return the figures of a column that are not nan.

    What a method says nothing of in all cases that it answered, such as depth, is not its subject,
    and its failures do not count there.
    """
    answered = [result.figures[column] for result in results if result.error is None]
    if answered and all(math.isnan(value) for value in answered):
        return []
    return [r.figures[column] for r in results if not math.isnan(r.figures[column])]


def larger_is_better(results: BenchmarkResults) -> Mapping[str, bool]:
    """Return for each column whether its worst is 0."""
    any_result = next(case for cases in results.methods.values() for case in cases.values())
    return {column: any_result.worst[column] == 0 for column in results.manifest.columns}


def best_of(rows: Sequence[Row], better: Mapping[str, bool]) -> Mapping[str, float]:
    """Return the best figure of each column that is defined in all cases; nan of fewer than two."""
    best = {}
    for column, is_larger in better.items():
        # A mean over the cases that went well must not win against one over all.
        values = [row.figures[column] for row in rows if row.undefined[column] == 0]
        pick = max if is_larger else min
        best[column] = pick(values) if len(set(values)) > 1 else math.nan
    return best


def worst_cases(results: BenchmarkResults, method: str, *, count: int) -> list[CaseResult]:
    """Return the cases that a method did worst on by the first column, failures first."""
    column = results.manifest.columns[0]
    is_larger = larger_is_better(results)[column]

    def badness(result: CaseResult) -> tuple[bool, float]:
        value = result.figures[column]
        ranked = math.inf if math.isnan(value) else -value if is_larger else value
        return result.error is not None, ranked

    return sorted(results.methods[method].values(), key=badness, reverse=True)[:count]


def different_frames(results: BenchmarkResults) -> list[str]:
    """Return the cases on which methods have not seen the same photos."""
    hashes: dict[str, set[str]] = {}
    for cases in results.methods.values():
        for case, result in cases.items():
            hashes.setdefault(case, set()).add(result.frames_hash)
    return [case for case, found in hashes.items() if len(found) > 1]


def _highest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
