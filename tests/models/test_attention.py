import pytest
import torch
from torch.nn.attention import SDPBackend

from fast3r.models import attention
from fast3r.models.attention import attention_kernels, kernel_order

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CUDNN, FLASH = SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION
EFFICIENT, MATH = SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH


def enabled() -> list[bool]:
    flags = torch.backends.cuda
    return [
        flags.flash_sdp_enabled(),
        flags.mem_efficient_sdp_enabled(),
        flags.math_sdp_enabled(),
        flags.cudnn_sdp_enabled(),
    ]


@pytest.mark.parametrize("kernel", ["auto", "cudnn", "flash", "math"])
def test_nothing_is_chosen_on_cpu(kernel) -> None:
    before = enabled()
    with attention_kernels(kernel, CPU):
        assert enabled() == before


@pytest.mark.parametrize(
    ("capability", "first"), [((9, 0), CUDNN), ((10, 0), CUDNN), ((8, 0), FLASH), ((8, 9), FLASH)]
)
def test_fastest_kernel_of_the_hardware_is_tried_first(monkeypatch, capability, first) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    order = kernel_order("auto", CUDA)
    assert order[0] == first
    assert order[-1] == MATH
    assert set(order) == {CUDNN, FLASH, EFFICIENT, MATH}


@pytest.mark.parametrize(
    ("kernel", "backend"),
    [("cudnn", CUDNN), ("flash", FLASH), ("efficient", EFFICIENT), ("math", MATH)],
)
def test_a_kernel_chosen_by_name_is_the_only_one(kernel, backend) -> None:
    assert kernel_order(kernel, CUDA) == [backend]


def test_a_kernel_chosen_by_name_is_the_only_one_enabled_inside() -> None:
    before = enabled()
    with attention_kernels("math", CUDA):
        assert enabled() == [False, False, True, False]
    assert enabled() == before


def test_unknown_kernel_is_refused() -> None:
    unchecked = getattr(attention_kernels, "__wrapped__", attention_kernels)
    while hasattr(unchecked, "__wrapped__"):
        unchecked = unchecked.__wrapped__
    with pytest.raises(ValueError, match=r"attention must be one of .*'auto'.*, got 'fastest'"):
        next(unchecked("fastest", CPU))


@pytest.mark.parametrize("kernel", ["fa3", "fa4"])
def test_flash_version_that_torch_lacks_is_refused(monkeypatch, kernel) -> None:
    offer = attention.torch_attention
    monkeypatch.setattr(offer, "list_flash_attention_impls", list, raising=False)
    message = f"attention {kernel.upper()} needs a torch that offers it .*offers none. Use 'auto'"
    with pytest.raises(ValueError, match=message), attention_kernels(kernel, CUDA):
        pass


def test_flash_version_that_is_not_installed_is_refused(monkeypatch) -> None:
    def activate(version: str) -> None:
        raise ImportError("no module named flash_attn_interface")

    offer = attention.torch_attention
    monkeypatch.setattr(offer, "list_flash_attention_impls", lambda: ["FA3"], raising=False)
    monkeypatch.setattr(offer, "activate_flash_attention_impl", activate, raising=False)
    message = "FA3 is not installed: no module named flash_attn_interface. Use 'auto'"
    with pytest.raises(ValueError, match=message), attention_kernels("fa3", CUDA):
        pass
