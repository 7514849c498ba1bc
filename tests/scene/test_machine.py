"""What this machine has."""

import sys
from pathlib import Path

import pytest
import torch

from fast3r.models.config import SMALL, Fast3RConfig
from fast3r.scene.machine import (
    MemoryNeed,
    _group_memory,
    choose_device,
    choose_precision,
    estimate_memory,
    free_device_bytes,
    free_host_bytes,
    survey,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def pretend(monkeypatch: pytest.MonkeyPatch, *, cuda: int, mps: bool) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: cuda)
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda > 0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(2, False, "cuda:0"), (0, True, "mps"), (0, False, "cpu")]
)
def test_auto_is_the_best_device(
    monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, best: str
) -> None:
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert str(choose_device("auto")) == best


@pytest.mark.parametrize(
    ("name", "device"), [("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_a_device_can_be_chosen_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, device: str
) -> None:
    pretend(monkeypatch, cuda=2, mps=False)
    assert str(choose_device(name)) == device


@pytest.mark.parametrize("name", ["cuda:2", "cuda:-1", "gpu", "", "nan", "mps", "cuda:0:0"])
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend(monkeypatch, cuda=2, mps=False)
    with pytest.raises(ValueError, match="one of auto, cuda:0, cuda:1, cpu on this machine"):
        choose_device(name)


def test_a_torch_without_cuda_is_told_apart_from_a_missing_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, cuda=0, mps=False)
    monkeypatch.setattr("torch.version.cuda", None)
    with pytest.raises(ValueError, match="this torch was built without CUDA"):
        choose_device("cuda")
    monkeypatch.setattr("torch.version.cuda", "12.8")
    with pytest.raises(ValueError, match="no CUDA device is visible"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("capability", "precision"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")]
)
def test_auto_is_bfloat16_where_cuda_hardware_has_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    assert choose_precision("auto", CUDA) == precision


def test_auto_is_float32_on_the_cpu() -> None:
    assert choose_precision("auto", CPU) == "float32"


def test_a_precision_that_is_asked_for_is_used() -> None:
    assert choose_precision("bfloat16", CPU) == "bfloat16"


def test_the_last_device_of_a_machine_is_its_cpu() -> None:
    cpu = survey().devices[-1]
    assert cpu.name == "cpu"
    if cpu.memory_gib is not None:
        assert cpu.free_gib is not None
        assert 0 < cpu.free_gib <= cpu.memory_gib


def test_views_within_memory_are_counted_on_the_line() -> None:
    assert MemoryNeed(fixed_gib=2, per_view_gib=0.5).views_within(10) == 16


def test_less_memory_than_the_weights_need_holds_no_view() -> None:
    assert MemoryNeed(fixed_gib=2, per_view_gib=0.5).views_within(1) == 0


def test_memory_of_a_view_grows_with_its_number_of_tokens() -> None:
    small, large = (estimate_memory(SMALL, size=s, precision="float32") for s in (128, 256))
    assert large.per_view_gib == pytest.approx(4 * small.per_view_gib)


def test_the_published_model_needs_at_least_its_weights() -> None:
    with torch.device("meta"):
        from fast3r.models.fast3r import Fast3R

        weights = sum(p.numel() for p in Fast3R().parameters())
    need = estimate_memory(Fast3RConfig(), size=512, precision="float32")
    assert need.fixed_gib > weights * 4 / 2**30


def test_bfloat16_makes_room_for_more_views() -> None:
    needs = [estimate_memory(SMALL, size=128, precision=p) for p in ("bfloat16", "float32")]
    assert needs[0].per_view_gib < needs[1].per_view_gib


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
    assert plenty is not None
    assert free_host_bytes() <= 2**20 < plenty


def test_devices_without_own_memory_tell_none() -> None:
    assert free_device_bytes(CPU) is None
