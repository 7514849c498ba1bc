"""Files of visitors: where they lie, who still needs them, and when they go.

All is in one temporary folder, which goes when the demo ends.
"""

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_STALE_S = 3600.0
"""An upload that is older was given up; slow ones take their time."""


class Uploads:
    """Files as they arrive, each under a name made of its content.

    Two visitors who send the same file share it, so it goes when the last of them has taken it,
    and not while another upload could be about to count on it.
    """

    def __init__(self, folder: Path) -> None:
        """Keep track of the files in a folder."""
        self.folder = folder
        self._arriving = 0
        self._untaken: Counter[Path] = Counter()
        self._taken: set[Path] = set()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Note that an upload is on its way."""
        with self._lock:
            self._arriving += 1

    def end(self, files: Iterable[str]) -> None:
        """Note that an upload is over, and which files it brought."""
        with self._lock:
            self._arriving -= 1
            self._untaken.update(map(Path, files))
            self._remove_taken()

    def take(self, files: Iterable[str], folder: Path) -> list[Path]:
        """Return a visitor's files under names of their own in a folder.

        Raises:
            ValueError: One of them was not uploaded, or has been taken before.
        """
        paths = [Path(file) for file in files]
        with self._lock:
            if any(self._untaken[path] < count for path, count in Counter(paths).items()):
                raise ValueError("these files are no longer here; please add them again")
            found = [_linked(path, folder) for path in paths]
            self._untaken -= Counter(paths)
            self._taken.update(paths)
            self._remove_taken()
        return found

    def remove_stale(self, older_than_s: float = _STALE_S) -> None:
        """Remove uploads that were cut short or never claimed."""
        with self._lock:
            for path in [p for p in self.folder.rglob("*") if _age_s(p) > older_than_s]:
                if path.is_file():
                    path.unlink(missing_ok=True)
                    del self._untaken[path]

    def _remove_taken(self) -> None:
        if self._arriving:
            return
        for path in [path for path in self._taken if not self._untaken[path]]:
            path.unlink(missing_ok=True)
            _remove_empty(path.parent)
            self._taken.discard(path)


class Storage:
    """The folder of a demo."""

    def __init__(self, *, keep_s: float) -> None:
        """Make the folder; results go once nobody has asked for them for `keep_s` seconds."""
        self.folder = Path(tempfile.mkdtemp(prefix="fast3r-demo-")).resolve()
        self.uploads = Uploads(self.folder / "uploads")
        self.results = self.folder / "results"
        self.uploads.folder.mkdir()
        self.results.mkdir()
        self._keep_s = keep_s

    def new_folder(self, *, for_results: bool) -> Path:
        """Return an empty folder under a name that cannot be guessed."""
        parent = self.results if for_results else self.folder / "reading"
        folder = parent / secrets.token_hex(16)
        folder.mkdir(parents=True)
        return folder

    def sweep(self) -> None:
        """Remove what is too old."""
        self.uploads.remove_stale()
        for folder in self.results.iterdir():
            if _age_s(folder) > self._keep_s:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def touch(folder: Path) -> None:
    """Keep a folder of results for longer."""
    os.utime(folder)


def _linked(path: Path, folder: Path) -> Path:
    """Return a new name for a file in a folder, a number added where it is taken."""
    target, number = folder / path.name, 1
    # Asking the file system, as on some of them a.jpg and A.JPG are one name.
    while target.exists():
        number += 1
        target = folder / f"{path.stem}-{number}{path.suffix}"
    try:
        os.link(path, target)
    except OSError:  # Some file systems have no links.
        shutil.copyfile(path, target)
    return target


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
