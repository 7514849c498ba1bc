"""Files that appear under their names whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """Give an empty folder whose content moves into `directory` when the block ends well.

    The folder lies inside `directory` (made where missing), so that each move is one rename.
    A folder that is new in `directory` arrives in one rename too; one that exists already keeps
    the files that were not written again. When the block raises, nothing moves.

    Raises:
        OSError: The disk is full, a permission is missing, or a name is taken by a folder.
    """
    directory.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=".fast3r-", dir=directory))
    try:
        yield stage
        for staged in sorted(stage.iterdir()):
            _install(staged, directory / staged.name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _install(staged: Path, final: Path) -> None:
    if staged.is_dir() and final.is_dir():
        for child in sorted(staged.iterdir()):
            _install(child, final / child.name)
    else:
        os.replace(staged, final)
