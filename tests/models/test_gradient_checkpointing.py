"""Activations may be kept or made again: gradients are the same, and only memory differs."""

import contextlib
import itertools
import shutil

import pytest
import torch
from torch import Tensor

from benchmarks.memory import LiveTensors
from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.fast3r import Chunks, Fast3R
from tests.models.conftest import BUNDLED_KIND, TINY, images_of

SIZES = [(32, 48), (48, 32), (32, 48), (32, 48)]
IDS = torch.tensor([[0, 17, 999, 4]])
EVERY_PART = ("encoder", "fusion", "heads")


def build(*, alternate: bool = False) -> Fast3R:
    torch.manual_seed(0)
    return Fast3R(BUNDLED_KIND if alternate else TINY).double()


def photos(batch: int = 1) -> list[Tensor]:
    return images_of(SIZES, batch, dtype=torch.float64)


def gradients(model: Fast3R, images: list[Tensor], **options) -> dict[str, Tensor]:
    """Return those of all weights, for a loss in which every output counts."""
    model.zero_grad(set_to_none=True)
    loss = torch.zeros((), dtype=torch.float64, device=model.device)
    batch = images[0].shape[0]
    for view, prediction in enumerate(model(images, IDS.repeat(batch, 1), **options)):
        assert prediction.local is not None
        for pointmap in (prediction.world, prediction.local):
            loss = loss + (view + 1) * pointmap.points.square().mean()
            loss = loss + pointmap.confidence.log().mean()
    loss.backward()
    found = {}
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        found[name] = weight.grad
    return found


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    for name, gradient in wanted.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-10 * scale, msg=name)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("alternate", [False, True])
def test_gradients_are_those_without(alternate, batch) -> None:
    model, images = build(alternate=alternate), photos(batch=batch)
    wanted = gradients(model, images)
    model.set_gradient_checkpointing()
    assert_equal(gradients(model, images), wanted)


@pytest.mark.parametrize("part", EVERY_PART)
def test_gradients_are_those_without_for_each_part_alone(part) -> None:
    model, images = build(), photos()
    wanted = gradients(model, images)
    model.set_gradient_checkpointing([part])
    assert_equal(gradients(model, images), wanted)


@pytest.mark.parametrize("parts", [(), EVERY_PART])
@pytest.mark.parametrize("chunks", [Chunks(1, 1, 1), Chunks(2, 5, 3)])
@pytest.mark.parametrize("alternate", [False, True])
def test_chunk_sizes_do_not_change_gradients(alternate, chunks, parts) -> None:
    model, images = build(alternate=alternate), photos()
    wanted = gradients(model, images)
    model.set_gradient_checkpointing(parts)
    assert_equal(gradients(model, images, chunks=chunks), wanted)


@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_are_those_without_where_masks_drop_tokens(batch) -> None:
    model, images = build(alternate=True), photos(batch=batch)
    masks = [torch.ones(batch, *size, dtype=torch.bool) for size in SIZES]
    masks[1][:, :16] = False
    masks[2][-1, :, 24:] = False
    wanted = gradients(model, images, masks=masks)
    model.set_gradient_checkpointing()
    assert_equal(gradients(model, images, masks=masks, chunks=Chunks(1, 5, 1)), wanted)


def test_gradients_are_those_without_under_autocast() -> None:
    model = build().float()
    images = [view.float() for view in photos()]
    with torch.autocast("cpu", torch.bfloat16):
        wanted = gradients(model, images)
        model.set_gradient_checkpointing()
        found = gradients(model, images)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=0.02, atol=1e-4, msg=name)


def test_weights_that_are_frozen_need_no_gradients() -> None:
    model, images = build(), photos()
    wanted = gradients(model, images)
    model.encoder.requires_grad_(False)
    model.fusion.requires_grad_(False)
    model.zero_grad()
    model.set_gradient_checkpointing()
    sum(p.world.points.square().mean() for p in model(images, IDS)).backward()
    assert model.encoder.patch_embed.weight.grad is None
    found = model.world_head.out3.weight.grad
    assert found is not None
    assert found.shape == wanted["world_head.out3.weight"].shape


def test_nothing_changes_where_no_gradients_are_recorded() -> None:
    model, images = build(), photos()
    with torch.no_grad(), LiveTensors() as before:
        wanted = model(images, IDS)
    model.set_gradient_checkpointing()
    with torch.no_grad(), LiveTensors() as after:
        found = model(images, IDS)
    assert after.peak == before.peak
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a.world.points, b.world.points)
        assert torch.equal(a.world.confidence, b.world.confidence)


def test_it_can_be_switched_off() -> None:
    model, images = build(), photos()
    plain = peak(model, images)
    model.set_gradient_checkpointing()
    assert peak(model, images) < plain
    model.set_gradient_checkpointing([])
    assert peak(model, images) == plain


def peak(model: Fast3R, images: list[Tensor], chunks: Chunks | None = None) -> int:
    """Bytes of all tensors that are alive at once in a step, gradients too, weights not."""
    model.zero_grad(set_to_none=True)
    with LiveTensors() as live:
        sum(p.world.points.mean() for p in model(images, chunks=chunks)).backward()
    return live.peak


def deep() -> Fast3R:
    """Blocks and heads that are about equally hungry."""
    return Fast3R(
        Fast3RConfig(
            encoder=EncoderConfig(width=64, depth=6, heads=2),
            fusion=FusionConfig(width=64, depth=8, heads=2),
            head=HeadConfig(features=8, last_features=8, level_widths=(4, 8, 8, 16)),
        )
    )


def test_each_part_saves_memory_of_its_own() -> None:
    model, images = deep(), [torch.rand(1, 3, 64, 64)] * 8
    peaks = []
    for count in range(4):
        model.set_gradient_checkpointing(EVERY_PART[:count])
        peaks.append(peak(model, images))
    for more, less in itertools.pairwise(peaks):
        assert less < 0.95 * more
    assert peaks[-1] < 0.35 * peaks[0]


def test_heads_need_memory_for_a_chunk_of_views_only() -> None:
    model = deep()
    model.set_gradient_checkpointing()
    images = [torch.rand(1, 3, 64, 64)] * 8
    one, all_of_them = (peak(model, images, Chunks(head_views=n)) for n in (1, 8))
    assert one < 0.6 * all_of_them


def test_both_calls_use_the_chosen_attention_kernel(monkeypatch) -> None:
    chosen = []

    @contextlib.contextmanager
    def record(kernel, _device):
        chosen.append(kernel)
        try:
            yield
        finally:
            chosen.append("end")

    monkeypatch.setattr("fast3r.models.fast3r.attention_kernels", record)
    monkeypatch.setattr("fast3r.models.recompute.attention_kernels", record)
    model = build()
    model.attention = "math"
    model.set_gradient_checkpointing(["fusion"])
    made = model(photos(), IDS)
    assert chosen == ["math", "end"]
    made[0].world.points.sum().backward()
    assert chosen == ["math", "end"] * (1 + len(model.fusion.blocks))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # those of the compiler are not ours
@pytest.mark.usefixtures("unchecked_shapes")
def test_gradients_are_those_without_where_blocks_are_compiled() -> None:
    model, images = build(alternate=True), photos()
    wanted = gradients(model, images)
    model.set_gradient_checkpointing()
    model.compile_blocks()
    assert_equal(gradients(model, images), wanted)


@pytest.mark.gpu
def test_gradients_are_those_without_on_cuda() -> None:
    model = build().to("cuda", torch.float32)
    images = [view.to("cuda", torch.float32) for view in photos()]
    with torch.autocast("cuda", torch.bfloat16):
        wanted = gradients(model, images)
        model.set_gradient_checkpointing()
        found = gradients(model, images)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=0.02, atol=1e-3, msg=name)


@pytest.mark.parametrize("parts", [["decoder"], ["heads", "encoders"], "encoder"])
@pytest.mark.usefixtures("unchecked_shapes")
def test_parts_that_there_are_not_are_refused(parts) -> None:
    wanted = r"gradient checkpointing takes a list of \('encoder', 'fusion', 'heads'\), got"
    with pytest.raises(ValueError, match=wanted):
        build().set_gradient_checkpointing(parts)
