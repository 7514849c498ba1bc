"""Arrays from NumPy's files, from anywhere: no pickles, no sizes beyond all measure."""

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.npyio import NpzFile

_MAX_EXPANSION, _ALWAYS_BYTES = 100, 256 << 20
"""An archive may hold so many times its own size, and always so many bytes."""

DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and the zip reader raise over damaged files, or such that claim absurd sizes."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name, or the one of an .npy file as `""`.

    Raises:
        ValueError: The file is damaged, holds Python objects, or unpacks to more than it should.
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        try:
            stored = load(file)
            if isinstance(stored, np.ndarray):
                return {"": stored}
            arrays = dict(stored.items())
            _check_arrays(arrays)
            return arrays
        except DAMAGE as error:
            raise ValueError(
                f"{path} is damaged or no {path.suffix} file: {error or type(error).__name__}"
            ) from error


def load(file: BinaryIO) -> np.ndarray | NpzFile:
    """Return the array of an .npy file, or an .npz file whose arrays are read when asked for.

    Raises:
        Exception: One of `DAMAGE`; also when an array of the archive is asked for.
    """
    if zipfile.is_zipfile(file):
        _check_expansion(file)
    file.seek(0)
    return np.load(file, allow_pickle=False)


def _check_arrays(arrays: dict[str, Any]) -> None:
    """Refuse other files in an archive, which NumPy returns as bytes."""
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"it holds {name}, which is not an array")


def _check_expansion(file: BinaryIO) -> None:
    with zipfile.ZipFile(file) as archive:
        claimed = sum(member.file_size for member in archive.infolist())
    packed = file.seek(0, 2)
    if claimed > max(_ALWAYS_BYTES, _MAX_EXPANSION * packed):
        raise ValueError(f"{packed} bytes that would unpack to {claimed} bytes are not opened")
