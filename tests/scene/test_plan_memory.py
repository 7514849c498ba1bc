"""The count by hand: exact where it can be checked, and what it says of many views."""

from dataclasses import replace

import pytest
import torch

from benchmarks.memory import LiveTensors
from fast3r.models.config import SMALL, Fast3RConfig
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.scene.plan.memory import Formats, count, num_weights
from fast3r.scene.plan.need import Need, Setting, need_of
from fast3r.scene.plan.situation import Situation
from fast3r.scene.plan.workload import Workload
from fast3r.views.fitting import fit_view
from fast3r.views.view import View
from tests.models.test_memory import SIZE, build

PUBLISHED = Fast3RConfig()
SMALLEST = Chunks(encoder_views=4, fusion_tokens=64, head_views=1)
GIB = 2**30


def photos(size: tuple[int, int], number: int, *, mask: torch.Tensor | None = None) -> list[View]:
    pixels = torch.zeros(*size, 3, dtype=torch.uint8)
    return [View(pixels, torch.eye(3), f"{i}.jpg", *size, mask=mask) for i in range(number)]


def needed(
    views: int,
    setting: Setting,
    *,
    config: Fast3RConfig = PUBLISHED,
    size: tuple[int, int] = (384, 512),
    device: str = "cuda",
    lazy: bool = False,
) -> Need:
    workload = Workload.uniform(views, size, config.encoder.patch)
    where = torch.device(device)
    return need_of(Situation(config, workload, where, 0, None, None, lazy=lazy), setting)


@torch.no_grad()
def peak(model: Fast3R, images: list[torch.Tensor], masks: list[torch.Tensor] | None) -> int:
    with LiveTensors() as live:
        for _ in model.stream(images, masks=masks, chunks=SMALLEST):
            pass
    return live.peak + sum(weight.nbytes for weight in model.parameters())


@pytest.mark.parametrize(
    ("views", "card_gib"), [(1500, 24), (5000, 139)], ids=["1500 on 24 GiB", "5000 on 139 GiB"]
)
def test_the_published_model_fits_in_bfloat16(views: int, card_gib: float) -> None:
    need = needed(views, Setting("bfloat16"))
    assert need.device < card_gib * GIB


def test_what_must_exist_grows_by_the_bytes_of_six_tokens_a_token() -> None:
    counts = [
        count(PUBLISHED, Workload.uniform(n, (384, 512), 16), Chunks(), Formats(4, 2))
        for n in (100, 101)
    ]
    assert counts[1].needed - counts[0].needed == 768 * 6 * 1024 * 2


def test_mixed_sizes_are_counted_exactly() -> None:
    model = build()
    sizes = [SIZE, (64, 32), (48, 48), SIZE] * 8
    images = [torch.rand(1, 3, *size) for size in sizes]
    workload = Workload(tuple(sizes), tuple(h * w // 64 for h, w in sizes), 8)
    counted = count(model.config, workload, SMALLEST).peak
    assert peak(model, images, None) == pytest.approx(counted, rel=0.02)


def test_masked_views_are_counted_by_what_their_masks_leave() -> None:
    model, masks = build(), []
    for kept in range(8, 40):
        mask = torch.zeros(1, *SIZE, dtype=torch.bool)
        mask[:, :, :kept] = True
        masks.append(mask)
    views = [v for mask in masks for v in photos(SIZE, 1, mask=mask[0])]
    workload = Workload.of(views, patch=8)
    assert workload.tokens[:3] == (4, 4, 4)  # of 8 columns; half a patch counts from 4 on
    assert workload.tokens[4:6] == (8, 8)
    assert workload.masked
    counted = count(model.config, workload, SMALLEST).peak
    assert peak(model, [torch.rand(1, 3, *SIZE)] * 32, masks) == pytest.approx(counted, rel=0.1)


@pytest.mark.parametrize("size", [(96, 128), (100, 130), (480, 640), (300, 300)])
def test_a_smaller_workload_has_the_sizes_that_views_will_have(size: tuple[int, int]) -> None:
    (view,) = photos(size, 1)
    smaller = fit_view(view, size=96, patch=8)
    found = Workload((size,), (1,), 8).resized(96)
    assert found.sizes == ((smaller.height, smaller.width),)


def test_views_that_are_small_enough_keep_their_size() -> None:
    workload = Workload.uniform(3, (64, 96), 8)
    assert workload.resized(96) == workload


def test_some_of_mixed_views_have_their_mix() -> None:
    workload = Workload(((8, 8), (16, 16)) * 50, (1, 4) * 50, 8)
    some = workload.some(10)
    assert len(some) == 10
    assert len(some.by_size) >= 1
    assert workload.some(100) == workload


def test_autocast_keeps_copies_of_the_weights_of_encoder_and_fusion() -> None:
    workload = Workload.uniform(2, (96, 128), 16)
    exact = count(PUBLISHED, workload, Chunks())
    half = count(PUBLISHED, workload, Chunks(), Formats(4, 2))
    numbers = num_weights(PUBLISHED)
    assert half.weights == exact.weights == 4 * numbers.all
    assert half.fusion > 2 * (numbers.encoder + numbers.fusion)
    assert half.heads < half.fusion


def test_weights_that_are_bfloat16_already_are_not_copied() -> None:
    workload = Workload.uniform(2, (96, 128), 16)
    halves = count(PUBLISHED, workload, Chunks(), Formats(2, 2))
    assert halves.fusion < num_weights(PUBLISHED).fusion


def test_without_a_local_head_half_of_the_pointmaps_are_kept() -> None:
    one_head = replace(SMALL, head=replace(SMALL.head, local=False))
    both, one = (
        needed(1000, Setting(outputs="files"), config=config, size=(128, 128), device="cpu").files
        for config in (SMALL, one_head)
    )
    assert both - one == 1000 * 128 * 128 * 16


def test_pointmaps_in_files_take_no_memory() -> None:
    memory, files = (needed(1000, Setting("bfloat16", outputs=o)) for o in ("memory", "files"))
    assert memory.host - files.host >= 1000 * 384 * 512 * 32
    assert files.host < GIB
    assert files.files > memory.files == 0


def test_photos_that_are_not_kept_do_not_count() -> None:
    kept, lazy = (needed(100, Setting(), lazy=lazy).photos for lazy in (False, True))
    assert kept == 100 * 384 * 512 * 3
    assert lazy == 0


def test_writing_takes_no_more_memory_for_many_views_than_for_some() -> None:
    setting = Setting("bfloat16", outputs="files")
    some, many = (needed(views, setting, lazy=True) for views in (25, 2500))
    assert many.writing == some.writing < 0.5 * GIB
    assert many.host >= many.writing
