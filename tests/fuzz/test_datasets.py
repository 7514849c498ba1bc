"""Datasets with arrays of other kinds are read or refused as documented."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fuzz.data_readers import LAYOUTS, look_at

ARCHIVES = [
    (name, file)
    for name, layout in LAYOUTS.items()
    for file in layout.binaries
    if file.endswith(".npz")
]
ODD_ARRAYS: dict[str, Any] = {
    "text": np.array(["a", "b"]),
    "bytes": np.array([b"a"]),
    "nothing": np.zeros((0,)),
    "one value": np.array(3.0),
    "nan": np.full((4, 4), np.nan),
    "negative": np.full((2, 3), -1),
    "giant": np.full((2, 3), 2**62),
    "complex": np.full((3, 3), 1j),
    "times": np.zeros((3, 3), "datetime64[s]"),
    "records": np.zeros(3, [("a", "<i4"), ("b", "<f8")]),
    "many axes": np.zeros((1,) * 12),
    "true and false": np.ones((3, 3), bool),
}


@pytest.mark.parametrize(("name", "file"), ARCHIVES)
def test_an_archive_of_other_arrays_is_read_or_refused(
    name: str, file: str, tmp_path: Path
) -> None:
    LAYOUTS[name].write(tmp_path)
    with np.load(tmp_path / file) as stored:
        arrays = dict(stored)
    refusals = []
    for array in arrays:
        for odd in ODD_ARRAYS.values():
            np.savez(tmp_path / file, **{**arrays, array: odd})
            try:
                look_at(LAYOUTS[name], tmp_path)
            except ValueError as error:
                refusals.append(str(error))
    assert all(tmp_path.name in refusal for refusal in refusals)
