"""The folder of a run: its config, and whether a later command goes on with the same run."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from fast3r.documents import read_yaml
from fast3r.plain_values import plain
from fast3r.training.compose import written
from fast3r.training.config import TrainingConfig

# Parts of the config that a run may change when it goes on: they decide where and how it is
# watched, not what it computes.
_FREE = (
    "output", "stop_after_minutes", "hardware", "validation", "checkpoints", "log", "launcher",
    "slurm", "data.workers", "data.render_on",
)  # fmt: skip


def open_folder(config: TrainingConfig) -> None:
    """Make the folder of a run and write its config there.

    Raises:
        ValueError: The folder holds another run.
    """
    path = config.output / "config.yaml"
    (config.output / "checkpoints").mkdir(parents=True, exist_ok=True)
    if path.is_file() and any((config.output / "checkpoints").glob("*.ckpt")):
        _check_same(read_yaml(path), plain(config), path)
    _write(path, written(config))


def write_report(path: Path, entries: Mapping[str, Any]) -> None:
    """Write JSON for people and programs to read."""
    _write(path, json.dumps(entries, indent=1) + "\n")


@rank_zero_only
def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _check_same(before: Any, now: Any, path: Path) -> None:
    old, new = dict(_leaves(before)), dict(_leaves(now))
    changed = [
        f"{key} {old.get(key)} -> {new.get(key)}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key) and not _free(key)
    ]
    if changed:
        raise ValueError(
            f"{path.parent} holds a run with other settings: {'; '.join(changed[:6])}; give "
            "another output=, and to begin with its weights "
            f"start.path={path.parent / 'checkpoints' / 'last.ckpt'}"
        )


def _free(key: str) -> bool:
    return any(key == part or key.startswith(f"{part}.") for part in _FREE)


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield where, value
        return
    for key, part in value.items():
        yield from _leaves(part, f"{where}.{key}" if where else str(key))
