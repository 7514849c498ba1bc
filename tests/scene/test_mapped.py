"""Tensors in files."""

import errno
import gc
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fast3r.scene.mapped import in_file


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float64, torch.uint8, torch.int64, torch.bool]
)
def test_what_is_kept_is_equal(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = (100 * torch.rand(3, 4, 5)).to(dtype)
    kept = in_file(tmp_path / "new" / "folder" / "depth.3", tensor)
    assert kept.dtype == dtype
    assert torch.equal(kept, tensor)


def test_a_part_of_a_tensor_is_kept_without_the_rest(tmp_path: Path) -> None:
    tensor = torch.rand(100, 8).T[2:4]
    kept = in_file(tmp_path / "part", tensor)
    assert torch.equal(kept, tensor)
    assert (tmp_path / "part").stat().st_size == tensor.numel() * 4


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,)])
def test_tensors_of_few_numbers_or_none_are_kept(tmp_path: Path, shape: tuple[int, ...]) -> None:
    tensor = torch.rand(shape)
    assert torch.equal(in_file(tmp_path / "few", tensor), tensor)


def test_writing_to_a_kept_tensor_changes_it_but_not_its_file(tmp_path: Path) -> None:
    kept = in_file(tmp_path / "numbers", torch.zeros(1000))
    before = (tmp_path / "numbers").read_bytes()
    kept += 1
    assert kept.sum() == 1000
    assert (tmp_path / "numbers").read_bytes() == before


def test_a_kept_tensor_can_be_optimised(tmp_path: Path) -> None:
    kept = in_file(tmp_path / "numbers", torch.ones(3, requires_grad=True))
    kept.requires_grad_().square().sum().backward()
    assert kept.grad is not None
    assert kept.grad.tolist() == [2, 2, 2]


def test_a_name_can_be_used_again_while_the_former_tensor_lives(tmp_path: Path) -> None:
    first, second = (in_file(tmp_path / "numbers", torch.full((5,), float(n))) for n in (1, 2))
    assert first.tolist() == [1] * 5
    assert second.tolist() == [2] * 5


def test_nothing_but_the_files_stays_in_the_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        in_file(tmp_path / name, torch.rand(5))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the file while it is mapped")
def test_a_tensor_outlives_its_file(tmp_path: Path) -> None:
    tensor = torch.rand(1000)
    kept = in_file(tmp_path / "numbers", tensor)
    (tmp_path / "numbers").unlink()
    gc.collect()
    assert torch.equal(kept, tensor)


def test_a_full_disk_is_told_with_the_folder_and_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: memoryview) -> int:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="is full: 4000 bytes more were needed for depth") as caught:
        in_file(tmp_path / "depth", torch.rand(1000))
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_other_faults_of_the_disk_stay_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, content: memoryview) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(PermissionError, match="Permission denied"):
        in_file(tmp_path / "depth", torch.rand(10))


_KEEP_MORE_THAN_THE_LIMIT = """
import sys
from pathlib import Path
import torch
from fast3r.scene.mapped import in_file

def private_mib():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024

folder = Path(sys.argv[1])
source = torch.ones(2**20)
in_file(folder / "first", source)
before = private_mib()
kept = [in_file(folder / str(i), source.fill_(i)) for i in range(32)]
assert [int(tensor[-1]) for tensor in kept] == list(range(32))
print(private_mib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_the_system_cannot_drop_does_not_grow(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KEEP_MORE_THAN_THE_LIMIT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 16  # of 128 MiB that were kept
