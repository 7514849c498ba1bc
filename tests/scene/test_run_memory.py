"""A reconstruction in too little memory."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.memory import LiveTensors
from fast3r.models.fast3r import Chunks, Fast3R, Tokens
from fast3r.models.prediction import Prediction
from fast3r.scene.plan.ladder import Wish, ladder
from fast3r.scene.plan.memory import count
from fast3r.scene.plan.plan import Plan
from fast3r.scene.plan.situation import Situation
from fast3r.scene.plan.workload import Workload
from fast3r.scene.run import reconstruct
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View
from tests.scene.playback import TINY, a_random_model, photos


@pytest.fixture
def model() -> Fast3R:
    return a_random_model()


class Short(Fast3R):
    """A network on a device with so many bytes for tensors."""

    def __init__(self, room: int) -> None:
        torch.manual_seed(0)
        super().__init__(TINY)
        self.eval()
        self._room = room

    def tokens(self, *arguments: Any, **options: Any) -> Tokens:
        with _Allocator(self._room):
            return super().tokens(*arguments, **options)

    def predict(self, *arguments: Any, **options: Any) -> Iterator[tuple[int, Prediction]]:
        made = super().predict(*arguments, **options)
        while True:
            with _Allocator(self._room):
                found = next(made, None)
            if found is None:
                return
            yield found


class _Allocator(LiveTensors):
    """Refuses what is too much, as CUDA's does."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = super().__torch_dispatch__(func, types, args, kwargs)
        if self.live > self._room:
            raise torch.cuda.OutOfMemoryError(f"CUDA out of memory: {self.live} bytes")
        return made


def needed_bytes(chunks: Chunks, views: list[View]) -> int:
    """What encoder and fusion of these views hold at the peak, the weights left out."""
    workload = Workload.of(views, patch=8)
    counted = count(TINY, workload, chunks)
    return max(counted.encoder, counted.fusion)


def test_where_memory_runs_out_the_work_goes_on_in_smaller_chunks() -> None:
    views = photos(30)
    usual, least = (needed_bytes(chunks, views) for chunks in (Chunks(), Chunks(1, 512, 1)))
    short, recorder = Short((usual + least) // 2), StageRecorder()
    scene = reconstruct(views, short, recorder=recorder)
    assert [line.partition(":")[0] for line in recorder.lines] == [
        "plan",
        *["memory ran out on cpu; going on with less", "plan"] * (len(recorder.lines) // 2),
    ]
    assert len(recorder.lines) >= 3
    assert recorder.plan.setting.chunks.fusion_tokens < Chunks().fusion_tokens
    plenty = reconstruct(views, Short(10**12))
    for a, b in zip(scene.confidence, plenty.confidence, strict=True):
        torch.testing.assert_close(a, b)


def test_when_the_heads_run_out_of_memory_the_tokens_are_not_made_again(
    model: Fast3R, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, predict, attempts = [], model.predict, []
    monkeypatch.setattr(model, "tokens", Counted(model.tokens, made))

    def fail_once(tokens: Tokens, *, chunks: Chunks) -> Iterator[tuple[int, Prediction]]:
        attempts.append(chunks)
        if len(attempts) == 1:
            raise MemoryError("Unable to allocate 3 GiB")
        return predict(tokens, chunks=chunks)

    monkeypatch.setattr(model, "predict", fail_once)
    reconstruct(photos(), model)
    assert len(made) == 1
    assert len(attempts) == 2


class Counted:
    """A function that remembers its calls."""

    def __init__(self, function: Callable[..., Any], calls: list[object]) -> None:
        self._function, self._calls = function, calls

    def __call__(self, *arguments: object, **options: object) -> object:
        self._calls.append(arguments)
        return self._function(*arguments, **options)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError("Unable to allocate 9 bytes"),
    ],
)
def test_if_nothing_is_left_to_try_that_is_said(
    model: Fast3R, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(model, "tokens", fail)
    with pytest.raises(MemoryError, match="and nothing is left to try") as e:
        reconstruct(photos(), model)
    assert "too small for 3 views of up to 96x72 px" in str(e.value)
    assert str(error) in str(e.value)


def test_pointmaps_in_files_give_the_same_scene(
    model: Fast3R, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = reconstruct(photos(), model, keep_world=True)
    monkeypatch.setattr("fast3r.scene.run.choose", in_files)
    scene = reconstruct(photos(), model, keep_world=True, folder=tmp_path / "made/here")
    for a, b in zip(
        [*plain.depth, *plain.confidence, *(p.points for p in plain.world_pointmaps or ())],
        [*scene.depth, *scene.confidence, *(p.points for p in scene.world_pointmaps or ())],
        strict=True,
    ):
        assert torch.equal(a, b)
    assert not any((tmp_path / "made/here").iterdir())  # the tensors outlive their files


def in_files(situation: Situation, wish: Wish) -> Plan:
    plans = ladder(situation, wish)
    return next(plan for plan in plans if plan.setting.outputs == "files")


def test_a_budget_that_is_none_is_refused(model: Fast3R) -> None:
    with pytest.raises(ValueError, match="memory_gib must be positive and finite, got 0"):
        reconstruct(photos(), model, memory_gib=0)


def test_a_budget_below_the_least_is_refused_before_the_work(
    model: Fast3R, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Fast3R, "tokens")
    with pytest.raises(MemoryError, match=r"host is too small: 3 views of up to .* need at least"):
        reconstruct(photos(), model, memory_gib=0.001)


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
def test_a_process_short_of_memory_fails_without_a_plan_and_completes_with_one() -> None:
    command = [sys.executable, "-m", "tests.scene.short_of_memory"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    unplanned, planned, depth_maps, *surprised = done.stdout.splitlines()
    assert unplanned == "unplanned: True"
    assert "for want of memory it works on" in planned
    assert depth_maps == surprised[-1] == "depth maps: 40"
    first, ran_out, *_ = surprised
    assert "for want of memory" not in first
    assert ran_out == "memory ran out on cpu; going on with less"
    assert "for want of memory it works on" in surprised[-2]
