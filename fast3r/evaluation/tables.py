"""Tables of a report, before they are Markdown or HTML."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fast3r.evaluation.results import BenchmarkResults, CaseResult
from fast3r.evaluation.summary import Row, best_of, larger_is_better, summarized


@dataclass(frozen=True)
class Cell:
    """One entry."""

    text: str
    """As it is shown."""

    is_best: bool = False
    """Among those of our runs."""


@dataclass(frozen=True)
class Line:
    """One row."""

    cells: Sequence[Cell]
    """One a column; the first is text, the others are numbers."""

    is_published: bool = False
    """Whether the figures are a paper's and not of this run."""


@dataclass(frozen=True)
class Table:
    """Rows under a head."""

    head: Sequence[str]
    """Names of the columns."""

    lines: Sequence[Line]
    """In order."""


def summary_table(results: BenchmarkResults) -> Table:
    """Return a row a method, then the figures of papers."""
    columns = results.manifest.columns
    rows, better = summarized(results), larger_is_better(results)
    best = best_of(rows, better)
    arrows = [f"{column} {'↑' if better[column] else '↓'}" for column in columns]
    on_device = any(row.device_peak_gib is not None for row in rows)
    memory = ["GPU GiB"] if on_device else []
    lines = [
        Line([*_summary_cells(row, columns, best), *_cost_cells(row, on_device)]) for row in rows
    ]
    blank = [Cell("")] * (2 + len(memory))
    for name, figures in results.manifest.published.items():
        shown = [Cell(number(figures.get(column, math.nan), column)) for column in columns]
        lines.append(Line([Cell(name), Cell(""), *shown, *blank], is_published=True))
    return Table(["method", "failed", *arrows, "s / case", "host GiB", *memory], lines)


def case_table(results: BenchmarkResults, method: str) -> Table:
    """Return a row a case of one method."""
    columns = results.manifest.columns
    lines = [
        Line([Cell(case), *_case_cells(result, columns)])
        for case, result in results.methods[method].items()
    ]
    return Table(["case", "photos", *columns, "s", "error"], lines)


def number(value: float, column: str) -> str:
    """Return a figure as it is shown: one decimal of percentages and degrees, else 3 digits."""
    if math.isnan(value):
        return "–"
    if "%" in column or column.endswith((" deg", "°")):
        return f"{value:.1f}"
    return f"{value:#.3g}".rstrip(".") if abs(value) < 1000 else f"{value:.0f}"


def _summary_cells(row: Row, columns: Sequence[str], best: Mapping[str, float]) -> list[Cell]:
    cells = [Cell(row.method), Cell(f"{row.failed} of {row.cases}")]
    for column in columns:
        value = row.figures[column]
        some = 0 < row.undefined[column] < row.cases
        cells.append(Cell(number(value, column) + "*" * some, is_best=value == best[column]))
    return cells


def _cost_cells(row: Row, on_device: bool) -> list[Cell]:
    peaks = [row.host_peak_gib, *([row.device_peak_gib] if on_device else [])]
    shown = ["–" if peak is None else f"{peak:.2f}" for peak in peaks]
    return [Cell(f"{row.seconds:.3g}"), *(Cell(text) for text in shown)]


def _case_cells(result: CaseResult, columns: Sequence[str]) -> list[Cell]:
    figures = [Cell(number(result.figures[column], column)) for column in columns]
    error = (result.error or "").partition("\n")[0][:120]
    return [Cell(str(result.photos)), *figures, Cell(f"{result.seconds:.3g}"), Cell(error)]
