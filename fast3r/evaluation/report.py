"""The report of a folder of results: `report.md`, and `report.html` that needs no other file."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from fast3r.evaluation.results import BenchmarkResults, CaseResult, read_results
from fast3r.evaluation.scaling import PLOT_NAME
from fast3r.evaluation.summary import different_frames, worst_cases
from fast3r.evaluation.tables import Cell, Line, Table, case_table, number, summary_table
from fast3r.scene.staging import staging

_WORST = 3

_LEGEND = (
    "↑ larger is better, ↓ smaller is better; bold is the best of these runs. A failed case counts "
    "with the worst figures there are; * marks figures that some cases do not define, and that "
    "are the mean over the others. Seconds are the median of a case, memory the highest of all. "
    "Lines in italics are published figures, as their authors report them."
)
_PICTURES = (
    "Pictures: on the left photos, depth (near is bright) and confidence, of up to four views; on "
    "the right a map of the cameras, green the true ones, red the found ones after the similarity "
    "that brings their centres closest."
)

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
h1 { font-size: 1.7rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ddd }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem }
th, td { padding: 0.25rem 0.6rem; text-align: right; border-bottom: 1px solid #eee }
td { white-space: nowrap } td:last-child { white-space: normal }
th { border-bottom: 2px solid #999; vertical-align: bottom }
td:first-child, th:first-child, td.text { text-align: left }
tr.published td { font-style: italic; color: #666 }
.note { color: #666; font-size: 0.85rem } .warning { color: #a00; font-weight: 600 }
figure { display: inline-block; margin: 0.5rem 1rem 0.5rem 0 }
img { max-width: 100% } figure img { border: 1px solid #ddd; display: block }
figcaption { font-size: 0.85rem; max-width: 768px }
summary { cursor: pointer; margin: 0.5rem 0 }
"""


def write_report(folder: Path) -> list[Path]:
    """Write the report of all results in a folder, of all shards and benchmarks.

    Raises:
        ValueError: There are no results, or a file is damaged.
    """
    every = read_results(folder)
    plot = folder / PLOT_NAME
    with staging(folder) as stage:
        (stage / "report.md").write_text(markdown(every, has_plot=plot.exists()), encoding="utf-8")
        page = html_page(every, plot.read_bytes() if plot.exists() else None)
        (stage / "report.html").write_text(page, encoding="utf-8")
    return [folder / "report.md", folder / "report.html"]


def markdown(every: Sequence[BenchmarkResults], *, has_plot: bool = False) -> str:
    """Return the report as Markdown; pictures are only in the page."""
    parts = ["# Evaluation", _LEGEND]
    if has_plot:
        parts.append(f"![Accuracy, time and memory against the number of photos]({PLOT_NAME})")
    for results in every:
        parts += [f"## {results.manifest.name}", *(f"**{w}**" for w in _warnings(results))]
        if results.methods:
            parts.append(_markdown_table(summary_table(results)))
        parts.append(f"Protocol: {results.manifest.protocol}")
        for method in results.methods:
            table = _markdown_table(case_table(results, method))
            parts.append(
                f"<details><summary>{method}, case by case</summary>\n\n{table}\n\n</details>"
            )
    parts += ["## Provenance", _markdown_table(provenance(every))]
    return "\n\n".join(parts) + "\n"


def html_page(every: Sequence[BenchmarkResults], plot: bytes | None = None) -> str:
    """Return the report as one page."""
    parts = ["<h1>Evaluation</h1>", f'<p class="note">{_LEGEND} {_PICTURES}</p>']
    if plot is not None:
        parts.append(_image(plot, "png", "Accuracy, time and memory against the number of photos"))
    for results in every:
        parts += _html_section(results)
    parts += ["<h2>Provenance</h2>", _html_table(provenance(every))]
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>fast3r evaluate</title>\n<style>{_STYLE}</style>\n"
        + "\n".join(parts)
        + "\n</html>\n"
    )


def provenance(every: Sequence[BenchmarkResults]) -> Table:
    """Return what each method's results were made with; several lines where that changed."""
    lines: dict[tuple[str, ...], None] = {}
    for results in every:
        for method, cases in results.methods.items():
            for result in cases.values():
                made_with = {**result.settings, **result.machine}
                facts = ", ".join(f"{key} {value}" for key, value in made_with.items())
                protocol = f"{results.manifest.name} {result.protocol_hash}"
                lines[method, protocol, facts] = None
    head = ["method", "benchmark and its hash", "settings, versions and hardware"]
    return Table(head, [Line([Cell(text) for text in line]) for line in lines])


def _warnings(results: BenchmarkResults) -> list[str]:
    """Return what a reader must know before the figures."""
    manifest = results.manifest
    found = []
    if len(manifest.cases) < manifest.cases_of_benchmark:
        found.append(
            f"Only {len(manifest.cases)} of the {manifest.cases_of_benchmark} cases were chosen."
        )
    for method, cases in results.methods.items():
        missing = len(manifest.cases) - len(cases)
        if missing:
            found.append(
                f"{method} has no result yet for {missing} of {len(manifest.cases)} cases."
            )
    if not results.methods:
        found.append("There are no results yet.")
    for case, reason in results.unreadable.items():
        found.append(f"{case} cannot be read and is not in the figures: {reason}")
    if results.outdated:
        found.append(
            f"{results.outdated} results of another protocol are left out; run again to replace "
            "them."
        )
    different = different_frames(results)
    if different:
        found.append(
            f"The methods have not seen the same photos in {len(different)} cases, such as "
            f"{different[0]}: remove its results and run again."
        )
    return found


def _html_section(results: BenchmarkResults) -> list[str]:
    manifest = results.manifest
    parts = [f"<h2>{html.escape(manifest.name)}</h2>"]
    parts += [f'<p class="warning">{html.escape(text)}</p>' for text in _warnings(results)]
    if results.methods:
        parts.append(_html_table(summary_table(results)))
    parts.append(f'<p class="note">Protocol: {html.escape(manifest.protocol)}</p>')
    for method in results.methods:
        table = _html_table(case_table(results, method))
        cases = worst_cases(results, method, count=_WORST)
        worst = [_figure(results, method, result) for result in cases]
        name = html.escape(method)
        parts.append(f"<details><summary>{name}, case by case</summary>{table}</details>")
        parts.append(
            f"<details open><summary>{name}, worst cases</summary>{''.join(worst)}</details>"
        )
    return parts


def _figure(results: BenchmarkResults, method: str, result: CaseResult) -> str:
    first = results.manifest.columns[0]
    said = f"{result.case}: {first} {number(result.figures[first], first)}"
    if result.error is not None:
        said = f"{result.case} failed: {result.error}"
    picture = results.picture(method, result.case)
    shown = _image(picture.read_bytes(), "jpeg", result.case) if picture.is_file() else ""
    return f"<figure>{shown}<figcaption>{html.escape(said)}</figcaption></figure>"


def _image(content: bytes, kind: str, text: str) -> str:
    encoded = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/{kind};base64,{encoded}">'


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.head)
    rows = []
    for line in table.lines:
        cells = [
            f"<td>{'<b>' * c.is_best}{html.escape(c.text)}{'</b>' * c.is_best}</td>"
            for c in line.cells
        ]
        kind = ' class="published"' if line.is_published else ""
        rows.append(f"<tr{kind}>{''.join(cells)}</tr>")
    body = "\n".join(rows)
    return f'<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>'


def _markdown_table(table: Table) -> str:
    rule = "|---|" + "---:|" * (len(table.head) - 1)
    lines = [f"| {' | '.join(table.head)} |", rule]
    for line in table.lines:
        cells = [_markdown_cell(cell, line.is_published) for cell in line.cells]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _markdown_cell(cell: Cell, is_published: bool) -> str:
    text = cell.text.replace("|", "\\|").replace("\n", " ")
    if cell.is_best:
        return f"**{text}**"
    return f"*{text}*" if is_published and text else text
