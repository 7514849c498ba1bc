"""What every dataset on disk offers: scenes, their frames, and which frames go together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from fast3r.data.frame import Frame


@runtime_checkable
class PosedScenes(Protocol):
    """Scenes of frames with cameras, and depth where there is any."""

    @property
    def root(self) -> Path:
        """Folder that the dataset was read from."""
        ...

    @property
    def scenes(self) -> Sequence[str]:
        """Names of the scenes, sorted; never empty."""
        ...

    def frames(self, scene: str) -> Sequence[str]:
        """Return the names of a scene's frames in order of capture.

        Raises:
            BrokenFrameError: The scene's index cannot be read.
        """
        ...

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        ...


@runtime_checkable
class Dataset(PosedScenes, Protocol):
    """Scenes that training draws its samples from."""

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> Sequence[str]:
        """Return the names of `views` frames that see parts of the same surface, first view first.

        Equal dice give equal frames. Frames repeat only where the scene has fewer than `views`.

        Raises:
            BrokenFrameError: The scene has no usable frames.
        """
        ...


def check_layout(root: Path, found: bool, *, dataset: str, expected: str) -> None:
    """Refuse a folder that is not laid out as a dataset should be.

    Args:
        root: Folder that the user gave.
        found: Whether what the dataset needs is there.
        dataset: Name for the message.
        expected: The layout, a line a path, as it should be below `root`.

    Raises:
        ValueError: It is not, with what was expected and what is there.
    """
    if found:
        return
    raise ValueError(
        f"{root} is not laid out as {dataset}.\nexpected:\n{_indented(expected)}\n"
        f"found:\n{_indented(_listing(root))}"
    )


def _listing(root: Path, limit: int = 8) -> str:
    if not root.exists():
        return "nothing: there is no such folder"
    if not root.is_dir():
        return "a file, not a folder"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in root.iterdir())
    rest = [f"... and {len(names) - limit} more"] if len(names) > limit else []
    return "\n".join(names[:limit] + rest) or "an empty folder"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())
