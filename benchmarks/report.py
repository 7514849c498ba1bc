"""What the benchmarks have in common: options, the setting they ran in, processes, and files."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

Setting = dict[str, str | int | float | bool]
"""What a table depends on besides its rows."""


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the description of a module, and the option of where tables go."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", type=Path, help="folder for the tables")
    return parser


def size_of(text: str) -> tuple[int, int]:
    """Return height and width of HEIGHTxWIDTH."""
    height, width = text.split("x")
    return int(height), int(width)


def setting_of(device: torch.device) -> Setting:
    """Return hardware, threads, versions, and how busy the machine was before."""
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "device": hardware,
        "threads": torch.get_num_threads(),
        "load_at_start": load(),
        "torch": torch.__version__,
    }


def processor() -> str:
    """Return the name of the processor where the system tells it, with its number of cores."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text().splitlines() if names.exists() else []
    name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "CPU")
    return f"{name}, {os.cpu_count()} cores"


def load() -> float:
    """Return how many processes wanted a core during the last minute; nan where not told."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else float("nan")


def label_of(device: torch.device) -> str:
    """Return the name of a device in file names."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device).replace(" ", "_")
    return device.type


def run_apart(name: str, *words: object) -> dict[str, Any]:
    """Return what a benchmark prints last, a JSON object, in a process of its own.

    Raises:
        RuntimeError: It failed.
    """
    command = [sys.executable, "-m", f"benchmarks.{name}", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows with the same keys as Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---:|" * len(names)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def show(row: Any) -> None:
    """Print the lines of a row, without the head of the table."""
    print("\n".join(table(row.told()).splitlines()[2:]), flush=True)


def write(
    folder: Path | None, name: str, title: str, setting: Setting, rows: Sequence[Any]
) -> None:
    """Write dataclass rows as JSON, and what `told` says of each as Markdown, into a folder.

    Args:
        folder: Where; None: nowhere.
        name: Of the files; it begins with that of the benchmark's module and a dash.
        title: Of the table.
        setting: That the rows were measured in.
        rows: What was measured so far.
    """
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    setting = {**setting, "load_at_end": load()}
    report = {"setting": setting, "rows": [asdict(row) for row in rows]}
    (folder / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    told = ", ".join(f"{key} {value}" for key, value in setting.items())
    command = f"python -m benchmarks.{name.partition('-')[0]}"
    lines = [f"# {title}", f"{told}. `{command}` makes this file."]
    lines.append(table([line for row in rows for line in row.told()]))
    (folder / f"{name}.md").write_text("\n\n".join(lines) + "\n")


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
