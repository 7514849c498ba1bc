"""What stages cost, and who is told."""

import time

import pytest

from fast3r.scene.stages import StageCost, StageRecorder, Watcher


class Diary(Watcher):
    """Writes down all that it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, stage: str) -> None:
        self.lines.append(f"{stage} starts")

    def advanced(self, stage: str, done: int, steps: int) -> None:
        self.lines.append(f"{stage} {done}/{steps}")

    def ended(self, cost: StageCost) -> None:
        self.lines.append(f"{cost.name} ends")


def test_a_watcher_is_told_of_start_steps_and_end() -> None:
    diary = Diary()
    with StageRecorder(watcher=diary).stage("walk") as tell:
        tell(1, 2)
        tell(2, 2)
    assert diary.lines == ["walk starts", "walk 1/2", "walk 2/2", "walk ends"]


def test_time_and_memory_of_each_stage_are_recorded() -> None:
    recorder = StageRecorder()
    for name, seconds in (("short", 0.0), ("long", 0.05)):
        with recorder.stage(name):
            time.sleep(seconds)
    short, long = recorder.costs
    assert (short.name, long.name) == ("short", "long")
    assert short.seconds < 0.05 <= long.seconds < 1
    assert long.host_peak_gib is None or 0.01 < long.host_peak_gib < 1000
    assert long.device_peak_gib is None


def test_a_stage_that_fails_is_not_recorded() -> None:
    recorder = StageRecorder()
    with pytest.raises(ValueError, match="no"), recorder.stage("bad"):
        raise ValueError("no")
    assert recorder.costs == []


@pytest.mark.gpu
def test_memory_of_a_cuda_device_is_that_of_the_stage() -> None:
    import torch

    recorder = StageRecorder("cuda")
    with recorder.stage("large"):
        torch.empty(2**30, dtype=torch.uint8, device="cuda")
    with recorder.stage("small"):
        pass
    large, small = (cost.device_peak_gib for cost in recorder.costs)
    assert large is not None
    assert small is not None
    assert large >= 1 > small
