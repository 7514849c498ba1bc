"""Which arrangement is chosen: the best that fits, and what is said of it."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from fast3r.models.config import SMALL, Fast3RConfig
from fast3r.models.fast3r import Chunks
from fast3r.scene.plan.choosing import choose, most_views, step_down
from fast3r.scene.plan.ladder import Wish, ladder
from fast3r.scene.plan.need import Setting
from fast3r.scene.plan.rates import Rates
from fast3r.scene.plan.seconds import STAGES, plan_seconds
from fast3r.scene.plan.situation import Situation
from fast3r.scene.plan.telling import duration, table, tell
from fast3r.scene.plan.workload import Workload

GIB = 2**30
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
RATES = Rates(linear=1e11, attention=1e11, convolution=1e11, copy=1e10)


def situation(
    host_gib: float | None = None,
    device_gib: float | None = None,
    *,
    views: int = 1000,
    size: tuple[int, int] = (384, 512),
    config: Fast3RConfig | None = None,
    device: torch.device = CPU,
) -> Situation:
    config = config or Fast3RConfig()
    return Situation(
        config,
        Workload.uniform(views, size, config.encoder.patch),
        device,
        resident=0,
        host_room=None if host_gib is None else int(host_gib * GIB),
        device_room=None if device_gib is None else int(device_gib * GIB),
    )


@pytest.fixture(autouse=True)
def _bfloat16_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))


def test_with_room_enough_everything_is_as_usual() -> None:
    plan = choose(situation(1000), Wish())
    assert plan.setting == Setting()
    assert (plan.size, plan.chunk_views, plan.told) == (512, None, ())


def test_where_the_room_is_not_told_everything_is_as_usual() -> None:
    assert choose(situation(), Wish()).setting == Setting()


def test_less_and_less_room_gives_up_the_exact_ways_last() -> None:
    wish, plans = Wish(), []
    for gib in (200, 20, 15, 9, 4):
        plans.append(choose(situation(gib), wish))
    order = [plan.arrangement for plan in ladder(situation(), wish)]
    ranks = [order.index(plan.arrangement) for plan in plans]
    assert ranks == sorted(ranks)
    assert all(plan.fits for plan in plans)
    assert {plan.setting.precision for plan in plans} == {"float32", "bfloat16"}
    assert any(plan.size < 512 or plan.chunk_views is not None for plan in plans)


def test_smaller_chunks_come_before_files_and_files_before_half_precision() -> None:
    rungs = list(ladder(situation(), Wish(may_chunk=False)))
    settings = [plan.setting for plan in rungs if plan.size == 512]
    order = [(s.precision == "bfloat16", s.outputs == "files") for s in settings]
    assert order == sorted(order)
    for a, b in pairwise(settings):
        if (a.precision, a.outputs) == (b.precision, b.outputs):
            assert b.chunks.fusion_tokens < a.chunks.fusion_tokens


def test_overlapping_chunks_come_before_smaller_photos() -> None:
    rungs = list(ladder(situation(), Wish()))
    chunked = [i for i, plan in enumerate(rungs) if plan.chunk_views is not None]
    smaller = [i for i, plan in enumerate(rungs) if plan.size < 512]
    assert chunked[0] < smaller[0]
    assert rungs[chunked[0]].overlap >= 2


def test_pointmaps_go_to_files_when_the_host_is_short_but_the_device_is_not() -> None:
    plan = choose(situation(5, 80, views=1000, device=CUDA), Wish())
    assert plan.setting == Setting("bfloat16", Chunks(), "files")
    assert plan.need.files > 5 * GIB


def test_files_must_fit_on_the_disk() -> None:
    tight = replace(situation(5, 80, views=1000, device=CUDA), disk_room=GIB)
    assert choose(tight, Wish()).need.files <= GIB


def test_on_cuda_half_precision_is_the_first_choice() -> None:
    assert choose(situation(100, 80, device=CUDA), Wish()).setting.precision == "bfloat16"


def test_wishes_are_kept() -> None:
    wish = Wish(size=512, precision="float32", chunks=Chunks(1, 256, 1))
    plan = choose(situation(60), wish)
    assert plan.setting == Setting("float32", Chunks(1, 256, 1))


def test_chunks_of_views_can_be_asked_for() -> None:
    plan = choose(situation(40), Wish(chunk_views=50))
    assert (plan.chunk_views, plan.overlap) == (50, 10)


def test_chunks_larger_than_the_set_are_one_pass() -> None:
    assert choose(situation(100), Wish(chunk_views=5000)).chunk_views is None


def test_a_wish_that_does_not_fit_is_refused_with_what_would() -> None:
    wish = Wish(size=512, precision="float32", may_chunk=False)
    with pytest.raises(MemoryError) as caught:
        choose(situation(15), wish)
    said = str(caught.value)
    assert "1000 views of up to 512x384 px need at least" in said
    assert "15.0 GiB are to be had" in said
    assert "this would fit: --size 512 --precision bfloat16, or use at most" in said


def test_the_number_of_views_that_is_advised_fits_and_one_more_does_not() -> None:
    wish = Wish(size=512, precision="float32", may_chunk=False)
    most = most_views(situation(15), wish)
    assert 0 < most < 1000
    assert any(plan.fits for plan in ladder(situation(15, views=most), wish))
    assert not any(plan.fits for plan in ladder(situation(15, views=most + 1), wish))


def test_if_not_even_the_weights_fit_that_is_said() -> None:
    with pytest.raises(MemoryError, match="use fewer views and a smaller --size"):
        choose(situation(1), Wish())


def test_stepping_down_ends() -> None:
    here = situation(views=20, config=SMALL, size=(96, 128))
    plan = choose(here, Wish())
    taken = [plan]
    while (plan := step_down(here, Wish(), plan)) is not None:
        taken.append(plan)
    assert len(taken) > 3
    for higher, lower in pairwise(taken):
        assert lower.leaner(higher)


def test_stepping_down_keeps_wishes() -> None:
    wish = Wish(size=128, precision="float32", may_chunk=False)
    here = situation(views=100, config=SMALL, size=(96, 128))
    plan = choose(here, wish)
    while (lower := step_down(here, wish, plan)) is not None:
        assert (lower.size, lower.setting.precision) == (128, "float32")
        plan = lower
    assert plan.setting.chunks.fusion_tokens < Chunks().fusion_tokens


def test_a_plan_is_told_in_one_line() -> None:
    line = tell(choose(situation(14), Wish()), CPU)
    assert line.startswith(
        "plan: 1000 views of up to 512 px in one pass, bfloat16; for want of memory it keeps"
    )
    assert " and computes in bfloat16; " in line
    assert line.endswith(" of 14.0 GiB of memory")
    assert "\n" not in line


def test_the_table_has_every_stage() -> None:
    here = situation(40, 80, device=CUDA)
    plan = choose(here, Wish())
    plan = replace(plan, seconds=plan_seconds(here, plan, RATES))
    lines = [line.split()[0] for line in table(plan, here, CUDA).splitlines()]
    assert lines == ["views", "host", "cuda:0", "memory", *STAGES]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (99.4, "99 s"), (150.0, "2 min"), (7000.0, "1.9 h")],
)
def test_durations_have_about_two_digits(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_fusion_takes_four_times_as_long_for_twice_the_views_where_attention_rules() -> None:
    took = []
    for views in (2000, 4000):
        here = situation(views=views)
        took.append(plan_seconds(here, choose(here, Wish(may_chunk=False)), RATES)["fusion"])
    assert took[1] / took[0] == pytest.approx(4, rel=0.1)


def test_a_machine_of_twice_the_rates_takes_half_as_long() -> None:
    here = situation()
    plan = choose(here, Wish())
    slow = plan_seconds(here, plan, RATES)
    fast = plan_seconds(here, plan, Rates(2e11, 2e11, 2e11, 2e10))
    assert sum(slow.values()) == pytest.approx(2 * sum(fast.values()))


def test_chunks_cost_their_overlap_and_the_first_look() -> None:
    here = situation(views=210)
    whole = plan_seconds(here, choose(here, Wish(may_chunk=False)), RATES)
    parts = plan_seconds(here, choose(here, Wish(chunk_views=50)), RATES)
    assert parts["heads"] / whole["heads"] == pytest.approx(6 * 50 / 210)
    assert parts["fusion"] < whole["fusion"]
