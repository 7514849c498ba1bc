"""What the benchmarks have in common: the setting that they ran in, and their files."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.poses import processor

Setting = dict[str, str | int | float | bool]
"""What a table depends on besides its rows."""


def setting_of(device: torch.device) -> Setting:
    """Return hardware, threads, versions, and how busy the machine was before."""
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "device": hardware,
        "threads": torch.get_num_threads(),
        "load_at_start": load(),
        "torch": torch.__version__,
    }


def load() -> float:
    """Return how many processes wanted a core during the last minute; nan where not told."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else float("nan")


def label_of(device: torch.device) -> str:
    """Return the name of a device in file names."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device).replace(" ", "_")
    return device.type


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows with the same keys as Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---:|" * len(names)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def write(
    folder: Path, name: str, title: str, command: str, setting: Setting, rows: Sequence[Any]
) -> None:
    """Write dataclass rows as JSON, and what `told` says of each as a Markdown table."""
    folder.mkdir(parents=True, exist_ok=True)
    setting = {**setting, "load_at_end": load()}
    report = {"setting": setting, "rows": [asdict(row) for row in rows]}
    (folder / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    told = ", ".join(f"{key} {value}" for key, value in setting.items())
    lines = [f"# {title}", f"{told}. `{command}` makes this file."]
    lines.append(table([line for row in rows for line in row.told()]))
    (folder / f"{name}.md").write_text("\n\n".join(lines) + "\n")


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
