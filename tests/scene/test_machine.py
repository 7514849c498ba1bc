"""What this machine has."""

import pytest
import torch

from fast3r.scene.machine import choose_device, choose_precision, survey

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
        assert 0 < cpu.free_gib <= cpu.memory_gib
