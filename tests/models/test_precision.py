from pathlib import Path

import pytest
import torch

from fast3r.models import precision
from fast3r.models.precision import has_fast_bfloat16

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def processor(monkeypatch):
    """Say what the processor can do."""

    def say(*flags: str) -> None:
        monkeypatch.setattr(precision, "_processor_flags", lambda: frozenset(flags))

    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    return say


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_processors_with_bfloat16_products_are_fast_in_it(processor, flag) -> None:
    processor("avx2", "avx512f", flag)
    assert has_fast_bfloat16(CPU)


@pytest.mark.parametrize("flags", [(), ("avx2",), ("avx512f", "avx512_vnni")])
def test_other_processors_are_not(processor, flags) -> None:
    processor(*flags)
    assert not has_fast_bfloat16(CPU)


def test_a_torch_without_onednn_is_not(processor, monkeypatch) -> None:
    processor("avx512_bf16")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not has_fast_bfloat16(CPU)


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_cuda_devices_are_since_ampere(monkeypatch, capability, fast) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_fast_bfloat16(CUDA) == fast


def test_mps_is_not() -> None:
    assert not has_fast_bfloat16(torch.device("mps"))


def test_flags_are_read_as_linux_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(
        "processor\t: 0\nflags\t\t: fpu avx512_bf16 avx2\n\nprocessor\t: 1\nflags\t: x\n"
    )
    assert precision._processor_flags(file) == {"fpu", "avx512_bf16", "avx2"}


@pytest.mark.parametrize("text", ["", "processor\t: 0\nBogoMIPS\t: 100\nFeatures\t: bf16\n"])
def test_nothing_is_read_from_other_systems(tmp_path: Path, text) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert precision._processor_flags(file) == frozenset()
    assert precision._processor_flags(tmp_path / "missing") == frozenset()
