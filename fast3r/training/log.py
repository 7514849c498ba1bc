"""Where figures and pictures go: CSV, TensorBoard, Weights & Biases, the terminal."""

import csv
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fast3r.training.config import LogConfig

Figures = Mapping[str, float]


class Sink(ABC):
    """One place to write to."""

    @abstractmethod
    def figures(self, group: str, step: int, figures: Figures) -> None:
        """Write figures of a group, which is "training" or "validation", at a step."""

    def picture(self, name: str, step: int, picture: Image.Image) -> None:
        """Write a picture, where that is possible."""
        return

    def close(self) -> None:
        """Write out what is left."""
        return


class CsvSink(Sink):
    """A file for each group with a line a record; pictures are PNG files beside it."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """Continue the files of a run, without what is beyond its checkpoint."""
        self._folder = folder
        self._columns: dict[str, list[str]] = {}
        for path in folder.glob("*.csv"):
            kept = [row for row in _read(path) if int(row["step"]) <= first_step]
            self._columns[path.stem] = _write(path, kept)

    def figures(self, group: str, step: int, figures: Figures) -> None:
        """Add a line, and columns where there are new ones."""
        path = self._folder / f"{group}.csv"
        row = {"step": str(step), **{name: f"{value:.6g}" for name, value in figures.items()}}
        columns = self._columns.get(group, [])
        if set(row) - set(columns):
            self._columns[group] = _write(path, [*_read(path), row])
            return
        with path.open("a", newline="") as file:
            csv.DictWriter(file, columns, restval="").writerow(row)

    def picture(self, name: str, step: int, picture: Image.Image) -> None:
        """Write a PNG file."""
        path = self._folder / "pictures" / f"{step:07}-{name.replace('/', '-')}.png"
        path.parent.mkdir(exist_ok=True)
        picture.save(path)


class TensorBoardSink(Sink):
    """Event files that TensorBoard reads."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """Open event files; what earlier ones hold beyond `first_step` is no longer shown.

        Raises:
            ImportError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "log.tensorboard needs TensorBoard: pip install 'fast3r[train]', "
                "or take log.tensorboard=false"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=first_step + 1)

    def figures(self, group: str, step: int, figures: Figures) -> None:
        """Add a point to a curve for each figure."""
        for name, value in figures.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)
        self._writer.flush()

    def picture(self, name: str, step: int, picture: Image.Image) -> None:
        """Add a picture."""
        self._writer.add_image(name, np.asarray(picture), step, dataformats="HWC")

    def close(self) -> None:
        """Write out what is left."""
        self._writer.close()


class WandbSink(Sink):
    """A run on Weights & Biases; the folder's name is its identity, so that it goes on there."""

    def __init__(self, project: str, folder: Path) -> None:
        """Begin or continue a run.

        Raises:
            ImportError: wandb is not installed.
        """
        try:
            import wandb
        except ImportError as error:
            raise ImportError(
                "log.wandb needs Weights & Biases: pip install wandb, or take log.wandb=null"
            ) from error
        self._wandb = wandb
        name = folder.resolve().name
        self._run = wandb.init(project=project, name=name, id=name, resume="allow", dir=folder)

    def figures(self, group: str, step: int, figures: Figures) -> None:
        """Send figures."""
        self._run.log({f"{group}/{name}": value for name, value in figures.items()}, step=step)

    def picture(self, name: str, step: int, picture: Image.Image) -> None:
        """Send a picture."""
        self._run.log({name: self._wandb.Image(picture)}, step=step)

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


class TerminalSink(Sink):
    """A line for each record on stderr, with the figures that tell most."""

    _SHOWN = (
        "loss", "world_error", "local_error", "pose_error", "rra15", "rta15", "depth_abs_rel",
        "views_per_s", "waiting", "share",
    )  # fmt: skip

    def figures(self, group: str, step: int, figures: Figures) -> None:
        """Print a line."""
        shown = [f"{name} {figures[name]:.3g}" for name in self._SHOWN if name in figures]
        print(f"{group} {step}: {', '.join(shown)}", file=sys.stderr, flush=True)


def open_sinks(config: LogConfig, folder: Path, *, first_step: int, quiet: bool) -> list[Sink]:
    """Return all places that a run writes to.

    Raises:
        ImportError: One needs a package that is not installed.
    """
    sinks: list[Sink] = [CsvSink(folder, first_step)]
    if config.tensorboard:
        sinks.append(TensorBoardSink(folder / "tensorboard", first_step))
    if config.wandb is not None:
        sinks.append(WandbSink(config.wandb, folder))
    return sinks if quiet else [*sinks, TerminalSink()]


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Write a file anew and return its columns."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)
    return columns
