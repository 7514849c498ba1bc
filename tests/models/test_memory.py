"""What is alive at the peak of a forward pass is what must be, and a chunk."""

from itertools import pairwise

import pytest
import torch

from benchmarks.memory import LiveTensors, count
from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.fast3r import Chunks, Fast3R

SIZE = (32, 64)
SMALLEST = Chunks(encoder_views=4, fusion_tokens=64, head_views=1)
LARGEST = Chunks(encoder_views=1000, fusion_tokens=10**6, head_views=1000)

# Vectors a patch or a view long, such as rotary angles and the means of a norm, are not counted.
MARGIN = 0.02


def build(*, alternate: bool = False, dtype: torch.dtype = torch.float32) -> Fast3R:
    """A model of few blocks, whose heads and weights are small beside the tokens of many views."""
    return Fast3R(
        Fast3RConfig(
            encoder=EncoderConfig(width=64, depth=1, heads=2, patch=8),
            fusion=FusionConfig(
                width=64, depth=8 if alternate else 4, heads=2, alternate=alternate
            ),
            head=HeadConfig(features=8, last_features=16, level_widths=(8, 8, 8, 8)),
        )
    ).to(dtype)


@torch.inference_mode()
def peak(model: Fast3R, views: int, chunks: Chunks) -> int:
    """Weights and all tensors that are alive at once, in bytes."""
    images = [torch.rand(1, 3, *SIZE)] * views
    with LiveTensors() as live:
        for _ in model.stream(images, chunks=chunks):
            pass
    return live.peak + sum(p.numel() * p.element_size() for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("chunks", [SMALLEST, Chunks(2, 128, 4), Chunks(), LARGEST])
def test_peak_is_the_count_by_hand(dtype, chunks) -> None:
    model = build(dtype=dtype)
    counted = count(model, 32, SIZE, chunks).peak
    assert peak(model, 32, chunks) == pytest.approx(counted, rel=MARGIN)


@pytest.mark.parametrize("chunks", [SMALLEST, LARGEST])
def test_peak_is_the_count_by_hand_where_every_second_block_sees_one_view(chunks) -> None:
    model = build(alternate=True)
    counted = count(model, 32, SIZE, chunks).peak
    assert peak(model, 32, chunks) == pytest.approx(counted, rel=MARGIN)


def test_peak_of_many_views_is_weights_four_levels_and_the_keys_and_values_of_a_layer() -> None:
    model = build()
    needed = count(model, 48, SIZE, SMALLEST).needed
    assert needed <= peak(model, 48, SMALLEST) < (1 + MARGIN) * needed


def test_each_further_view_takes_six_times_its_tokens() -> None:
    model = build()
    peaks = [peak(model, views, SMALLEST) for views in (40, 44, 48)]
    tokens = SIZE[0] * SIZE[1] // model.patch**2 * 64 * 4
    for fewer, more in pairwise(peaks):
        assert (more - fewer) / 4 == pytest.approx(6 * tokens, rel=MARGIN)


def test_smaller_chunks_take_less() -> None:
    model = build()
    chunks = [LARGEST, Chunks(16, 512, 16), SMALLEST]
    peaks = [peak(model, 48, c) for c in chunks]
    assert peaks == sorted(peaks, reverse=True)
    needed = count(model, 48, SIZE, SMALLEST).needed
    assert peaks[-1] - needed < (peaks[0] - needed) / 20


def test_small_head_chunks_take_less() -> None:
    model = build()
    few = count(model, 4, SIZE, SMALLEST)
    assert few.peak > few.needed  # so few views need more for the heads than for the fusion
    one, four = (peak(model, 4, Chunks(1, 64, views)) for views in (1, 4))
    assert one < four


def test_half_precision_tokens_turn_into_the_format_of_the_heads_by_chunks() -> None:
    model = build()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        tokens = model.tokens([torch.rand(1, 3, *SIZE)] * 48, chunks=SMALLEST)
    assert {level.dtype for level in tokens.levels} == {torch.bfloat16}
    with torch.inference_mode(), LiveTensors() as live:
        for _, prediction in model.predict(tokens, chunks=SMALLEST):
            assert prediction.world.points.isfinite().all()
    assert live.peak < sum(level.nbytes for level in tokens.levels)


def test_live_tensors_are_counted_until_they_are_freed() -> None:
    before = torch.zeros(1000)
    with LiveTensors() as live:
        first = before + 1
        del first
        second = torch.zeros(500)
        second[:10].add_(before[0])  # views and changes in place take nothing
    assert live.peak == 4000
