"""Damaged files are read or refused with their name: no crash, hang, warning or memory blow-up."""

import os
import resource
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz.data_readers import DATA_READERS
from tests.fuzz.mutation import mutants
from tests.fuzz.readers import READERS, Reader

MANY = int(os.environ.get("FAST3R_FUZZ", "1500"))
"""Damaged files of each reader in the slow campaign."""

ALL_READERS = READERS | DATA_READERS

_CPU_S, _GROWTH_MIB = 5.0, 400


@pytest.mark.parametrize("name", ALL_READERS)
def test_valid_files_are_read(name: str, tmp_path: Path) -> None:
    ALL_READERS[name].read(ALL_READERS[name].write(tmp_path))


@pytest.mark.parametrize("name", ALL_READERS)
def test_damaged_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    try_damaged(ALL_READERS[name], tmp_path, ALL_READERS[name].quick, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ALL_READERS)
def test_thousands_of_damaged_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    count = MANY if ALL_READERS[name].quick > 15 else MANY // 10
    try_damaged(ALL_READERS[name], tmp_path, count, seed=1)


def try_damaged(reader: Reader, folder: Path, count: int, *, seed: int) -> None:
    """Read damaged copies of a reader's file, and fail with all the ways that it goes wrong."""
    path = reader.write(folder)
    before_mib, wrong = _peak_mib(), {}
    damage = mutants(
        path.read_bytes(), count, seed, text=reader.text, within=slice(0, reader.head_bytes)
    )
    for number, content in enumerate(damage):
        path.write_bytes(content)
        fault = _fault(reader, path)
        if fault:
            kept = wrong.setdefault(fault[:60], f"{number}: {fault}\n    {content[:300]!r}")
            assert kept
    assert not wrong, "\n".join(wrong.values())
    grown = _peak_mib() - before_mib
    assert grown < _GROWTH_MIB, f"memory grew by {grown:.0f} MiB"


def _fault(reader: Reader, path: Path) -> str | None:
    """Return what is wrong with how a damaged file was read or refused, if anything is."""
    start = time.process_time()
    try:
        reader.read(path)
    except (ValueError, OSError) as error:
        # Of a folder any file may be named, as what is wrong may be that two do not fit.
        names = (path.name, path.parent.name, path.parents[1].name)
        named = any(name in str(error) for name in names)
        if reader.names_file and not named:
            return f"refused without its name: {type(error).__name__}: {error}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {error}"
    elapsed = time.process_time() - start
    return f"took {elapsed:.1f} s of processor time" if elapsed > _CPU_S else None


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
