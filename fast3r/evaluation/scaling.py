"""Accuracy, time and memory against the number of photos: `scaling.png` and `scaling.csv`."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fast3r.evaluation.results import BenchmarkResults
from fast3r.evaluation.summary import Row, summarized
from fast3r.scene.staging import staging

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT_NAME = "scaling.png"
_CSV_NAME = "scaling.csv"

Curves = Mapping[tuple[str, str], Sequence[Row]]
"""Rows by benchmark, without its number of views, and method; by growing number of photos."""


def curves_of(every: Sequence[BenchmarkResults]) -> Curves:
    """Return what there is at several numbers of photos."""
    curves: dict[tuple[str, str], list[Row]] = {}
    for results in every:
        for row in summarized(results):
            family = re.sub(r"-\d+-views$", "", results.manifest.name)
            curves.setdefault((family, row.method), []).append(row)
    ordered = {key: sorted(rows, key=lambda r: r.photos) for key, rows in curves.items()}
    return {key: rows for key, rows in ordered.items() if len({r.photos for r in rows}) > 1}


def write_scaling(folder: Path, every: Sequence[BenchmarkResults]) -> list[Path]:
    """Write plot and table of the results at several numbers of photos; nothing without any.

    Raises:
        ImportError: matplotlib is not installed.
    """
    curves = curves_of(every)
    if not curves:
        return []
    with staging(folder) as stage:
        (stage / _CSV_NAME).write_text(csv_text(curves), encoding="utf-8")
        (stage / PLOT_NAME).write_bytes(_plot(curves))
    return [folder / _CSV_NAME, folder / PLOT_NAME]


def csv_text(curves: Curves) -> str:
    """Return a line for each method and number of photos."""
    columns = dict.fromkeys(c for rows in curves.values() for row in rows for c in row.figures)
    costs = ["seconds_median", "host_peak_gib", "device_peak_gib"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["benchmark", "method", "photos", "cases", "failed", *columns, *costs])
    for (family, method), rows in curves.items():
        for row in rows:
            figures = [row.figures.get(column, "") for column in columns]
            peaks = [row.host_peak_gib, row.device_peak_gib]
            writer.writerow(
                [family, method, row.photos, row.cases, row.failed, *figures, row.seconds]
                + ["" if peak is None else peak for peak in peaks]
            )
    return text.getvalue()


def _plot(curves: Curves) -> bytes:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'fast3r[eval]'") from error
    first = next(iter(next(iter(curves.values()))[0].figures))
    on_device = any(row.device_peak_gib for rows in curves.values() for row in rows)
    figure = Figure(figsize=(13, 4), layout="constrained")
    accuracy, seconds, memory = figure.subplots(1, 3)
    several = len({family for family, _ in curves}) > 1
    for (family, method), rows in curves.items():
        label = f"{family}: {method}" if several else method
        photos = [row.photos for row in rows]
        peaks = [row.device_peak_gib if on_device else row.host_peak_gib for row in rows]
        accuracy.plot(photos, [row.figures.get(first) for row in rows], "o-", label=label)
        seconds.plot(photos, [row.seconds for row in rows], "o-", label=label)
        memory.plot(photos, peaks, "o-", label=label)
    ticks = sorted({row.photos for rows in curves.values() for row in rows})
    _dress(accuracy, first, ticks)
    _dress(seconds, "seconds a case", ticks)
    _dress(memory, f"peak memory of the {'GPU' if on_device else 'process'}, GiB", ticks)
    seconds.set_yscale("log")
    memory.set_ylim(bottom=0)
    accuracy.legend(fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def _dress(axes: "Axes", title: str, ticks: Sequence[float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("photos")
    axes.set_title(title)
    axes.grid(alpha=0.3)
