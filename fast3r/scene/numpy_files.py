"""Arrays from NumPy's files, from anywhere: no pickles, no sizes beyond all measure."""

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

_MAX_EXPANSION, _ALWAYS_BYTES = 100, 256 << 20
"""An archive may hold so many times its own size, and always so many bytes."""

_DAMAGE = (
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
            return _arrays(file)
        except _DAMAGE as error:
            raise ValueError(
                f"{path} is damaged or no {path.suffix} file: {error or type(error).__name__}"
            ) from error


def _arrays(file: BinaryIO) -> dict[str, np.ndarray]:
    if zipfile.is_zipfile(file):
        _check_expansion(file)
    file.seek(0)
    stored = np.load(file, allow_pickle=False)
    return {"": stored} if isinstance(stored, np.ndarray) else dict(stored.items())


def _check_expansion(file: BinaryIO) -> None:
    with zipfile.ZipFile(file) as archive:
        claimed = sum(member.file_size for member in archive.infolist())
    packed = file.seek(0, 2)
    if claimed > max(_ALWAYS_BYTES, _MAX_EXPANSION * packed):
        raise ValueError(f"{packed} bytes that would unpack to {claimed} bytes are not opened")
