"""The network on CUDA: run with `pytest -m gpu tests/models/test_cuda.py`."""

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from fast3r.models.attention import attention_kernels
from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.models.prediction import Prediction
from tests.models.conftest import images_of, parts
from tests.models.test_golden import TINY_CASES

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CUDA = torch.device("cuda")
CASES = [*TINY_CASES, ("released_n2_landscape", "config_released", "released_n2_landscape")]


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """Without this, matrix products and convolutions in float32 keep ten bits of the mantissa."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture(scope="module")
def model(golden) -> Fast3R:
    """Heads of 64 channels, which every kernel takes; both kinds of fusion block."""
    config = Fast3RConfig(
        encoder=EncoderConfig(width=128, depth=4, heads=2),
        fusion=FusionConfig(width=128, depth=8, heads=2, alternate=True, absolute_position=True),
        head=HeadConfig(features=32, last_features=16, level_widths=(16, 24, 32, 48)),
    )
    return golden.fill(Fast3R(config)).eval()


@pytest.fixture(scope="module")
def images() -> list[Tensor]:
    return images_of([(96, 128), (96, 128), (128, 96), (80, 80), (96, 128)], seed=1)


@pytest.fixture(scope="module")
def on_cpu(model, images) -> list[Prediction]:
    with torch.inference_mode():
        return model.cpu()(images)


@pytest.mark.parametrize(("case", "config", "inputs"), CASES)
@torch.inference_mode()
def test_pointmaps_equal_those_of_the_reference(golden, case, config, inputs) -> None:
    ids = None if "sequential" in config else golden.ids(inputs)
    predictions = golden.model(config).to(CUDA)(golden.images(inputs), ids)
    assert golden.excess(predictions, case, torch.float32) < 2


@torch.inference_mode()
def test_pointmaps_in_float64_equal_those_of_the_reference(golden) -> None:
    images = [image.double() for image in golden.images("n2_landscape")]
    predictions = golden.model().double().to(CUDA)(images, golden.ids("n2_landscape"))
    assert golden.excess(predictions, "n2_landscape_fp64", torch.float64) < 2


@torch.inference_mode()
def test_bfloat16_autocast_errs_no_more_than_the_reference_does(golden) -> None:
    with torch.autocast("cuda", dtype=torch.bfloat16):
        model = golden.model().to(CUDA)
        predictions = model(golden.images("n2_landscape"), golden.ids("n2_landscape"))
    golden.check_rounding(predictions)


@torch.inference_mode()
def test_cuda_equals_cpu_for_mixed_sizes(model, images, on_cpu) -> None:
    assert _error(model.to(CUDA)(images), on_cpu) < EXACT


@pytest.mark.parametrize("kernel", ["efficient", "math"])
@torch.inference_mode()
def test_kernel_equals_cpu_in_float32(model, images, on_cpu, kernel) -> None:
    assert _error(_with_kernel(model.to(CUDA), kernel, images), on_cpu) < EXACT


@pytest.mark.parametrize("kernel", ["auto", "cudnn", "flash", "efficient", "math"])
@torch.inference_mode()
def test_kernel_in_bfloat16_is_near_cpu_in_float32(model, images, on_cpu, kernel) -> None:
    half = Fast3R(model.config).eval()
    half.load_state_dict(model.state_dict())
    predictions = _with_kernel(half.to(CUDA, torch.bfloat16), kernel, images)
    assert predictions[0].world.points.dtype == torch.float32
    assert _error(predictions, on_cpu) < BFLOAT16_ERROR


@torch.inference_mode()
def test_chunk_sizes_do_not_change_the_result(model, images, on_cpu) -> None:
    assert _error(model.to(CUDA)(images, chunks=Chunks(2, 17, 1)), on_cpu) < EXACT


@torch.inference_mode()
def test_masks_hide_the_same_on_cuda_as_on_cpu(model, images) -> None:
    masks = [torch.ones(1, *image.shape[2:], dtype=torch.bool) for image in images]
    masks[1][:, :40, :50] = False
    masks[3][:, 20:] = False
    wanted = model.cpu()(images, masks=masks)
    assert _error(model.to(CUDA)(images, masks=masks), wanted) < EXACT


@torch.inference_mode()
def test_outputs_go_to_the_host_as_they_are_made(model, images, on_cpu) -> None:
    predictions = model.to(CUDA)(images, output_device="cpu")
    assert {p.world.points.device.type for p in predictions} == {"cpu"}
    assert {p.local.confidence.device.type for p in predictions} == {"cpu"}
    assert _error(predictions, on_cpu) < EXACT


@torch.inference_mode()
def test_view_ids_may_be_on_the_device(model, images, on_cpu) -> None:
    ids = torch.tensor([[0, 5, 900, 20, 1]])
    wanted = model.cpu()(images, ids)
    on_device = [image.to(CUDA) for image in images]
    assert _error(model.to(CUDA)(on_device, ids.to(CUDA)), wanted) < EXACT


@torch.inference_mode()
def test_small_chunks_need_less_memory(model) -> None:
    images = torch.rand(1, 64, 3, 128, 128)
    model.to(CUDA)
    peaks = []
    for chunks in (Chunks(64, 1 << 20, 64), Chunks(2, 256, 1)):
        torch.cuda.reset_peak_memory_stats()
        model(images, chunks=chunks, output_device="cpu")
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < peaks[0] / 2


def test_gradients_on_cuda_equal_those_on_cpu(model, images) -> None:
    wanted = _gradients(model.cpu(), images)
    for found, want in zip(_gradients(model.to(CUDA), images), wanted, strict=True):
        assert (found - want).norm() <= 1e-3 * want.norm() + 1e-6


# Of the spread of an output. Float32 against float64 on CPU: 3e-6.
EXACT = 2e-5

# Eight bits of mantissa through twelve blocks and the heads; measured on CPU: 0.03.
BFLOAT16_ERROR = 0.06


def _gradients(model: Fast3R, images: list[Tensor]) -> list[Tensor]:
    model.zero_grad()
    sum(p.world.points.square().mean() + p.local.points.mean() for p in model(images)).backward()
    return [p.grad.cpu() for p in model.parameters() if p.grad is not None]


def _with_kernel(model: Fast3R, kernel: str, images: list[Tensor]) -> list[Prediction]:
    """Skip where the kernel does not exist for this device; its refusal comes with warnings."""
    model.attention = kernel
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with attention_kernels(kernel, CUDA):
                probe = torch.rand(1, 2, 48, 64, device=CUDA, dtype=model.encoder.norm.weight.dtype)
                torch.nn.functional.scaled_dot_product_attention(probe, probe, probe)
    except RuntimeError as refusal:
        pytest.skip(f"{kernel} refuses: {refusal}")
    finally:
        model.attention = "auto"
    model.attention = kernel
    try:
        return model(images)
    finally:
        model.attention = "auto"


def _error(found: list[Prediction], wanted: list[Prediction]) -> float:
    """Return the largest RMS difference of an output, over the spread of that output."""
    ratios = []
    for a, b in zip(found, wanted, strict=True):
        for got, want in zip(parts(a), parts(b), strict=True):
            assert got.shape == want.shape
            ratios.append((got.cpu() - want).square().mean().sqrt() / want.std())
    return float(torch.stack(ratios).max())
