"""Memory that may still be taken."""

import sys
from pathlib import Path

import pytest
import torch

from fast3r.scene.free_memory import _group_memory, free_device_bytes, free_host_bytes


def a_group(root: Path, path: str, files: dict[str, str], *, line: str) -> None:
    """Put this process into a control group with these files."""
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text(line + "\n")
    folder = root / "sys/fs/cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text + "\n")


SECOND = {
    "memory.max": "1000",
    "memory.current": "700",
    "memory.stat": "anon 300\ninactive_file 250\nactive_file 50",
}
FIRST = {
    "memory.limit_in_bytes": "1000",
    "memory.usage_in_bytes": "700",
    "memory.stat": "cache 400\ntotal_inactive_file 250\ntotal_active_file 50",
}


def test_a_container_s_limit_counts_without_what_it_has_read_from_files(tmp_path: Path) -> None:
    a_group(tmp_path, "", SECOND, line="0::/")
    assert _group_memory(tmp_path) == [(1000, 400)]


def test_limits_of_groups_around_the_own_one_count(tmp_path: Path) -> None:
    a_group(tmp_path, "job", SECOND, line="0::/job/step/task")
    assert _group_memory(tmp_path) == [(1000, 400)]


def test_groups_of_the_first_version_count(tmp_path: Path) -> None:
    a_group(tmp_path, "memory/job", FIRST, line="4:memory:/job\n3:cpuset:/\n0::/")
    assert _group_memory(tmp_path) == [(1000, 400)]


def test_a_group_without_limit_is_none(tmp_path: Path) -> None:
    a_group(tmp_path, "", {**SECOND, "memory.max": "max"}, line="0::/")
    assert _group_memory(tmp_path) == []


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert _group_memory(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
def test_what_ulimit_leaves_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    plenty = free_host_bytes()
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = (taken + 2**20, resource.RLIM_INFINITY)
    monkeypatch.setattr("resource.getrlimit", lambda which: limits)
    assert free_host_bytes() <= 2**20 < plenty


def test_devices_without_own_memory_tell_none() -> None:
    assert free_device_bytes(torch.device("cpu")) is None
