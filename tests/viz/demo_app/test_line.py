"""The line before the device."""

import threading
from collections.abc import Iterator

import pytest

from fast3r.scene.stages import StageRecorder
from fast3r.viz.demo_app.line import Job, Line, StoppedError


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line(max_waiting=2)
    yield line
    line.close()


class Gate:
    """Work that begins and ends when the test says so."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self, job: Job) -> str:
        self.begun.set()
        assert self.open.wait(10)
        job.check()
        return "done"


def test_jobs_run_one_by_one_in_their_order(line: Line) -> None:
    order: list[int] = []
    jobs = [line.join(lambda _, i=i: order.append(i)) for i in range(3)]
    for job in jobs:
        job.future.result(10)
    assert order == [0, 1, 2]


def test_a_job_knows_how_many_come_before_it(line: Line) -> None:
    gate = Gate()
    jobs = [line.join(gate), line.join(gate), line.join(gate)]
    assert gate.begun.wait(10)
    assert [line.num_before(job) for job in jobs] == [0, 1, 2]
    jobs[1].stop()
    assert line.num_before(jobs[2]) == 1
    gate.open.set()
    assert jobs[2].future.result(10) == "done"
    assert line.num_before(jobs[2]) == 0


def test_a_line_that_is_too_long_turns_away(line: Line) -> None:
    gate = Gate()
    for _ in range(3):
        line.join(gate)
    with pytest.raises(ValueError, match="2 others are waiting already"):
        line.join(gate)
    gate.open.set()


def test_a_job_that_is_stopped_while_it_waits_is_never_begun(line: Line) -> None:
    gate, begun = Gate(), []
    line.join(gate)
    waiting = line.join(begun.append)
    waiting.stop()
    gate.open.set()
    line.join(lambda _: None).future.result(10)
    assert waiting.future.cancelled()
    assert begun == []


def test_a_job_that_is_stopped_at_work_ends_at_its_next_check(line: Line) -> None:
    gate = Gate()
    job = line.join(gate)
    assert gate.begun.wait(10)
    job.stop()
    gate.open.set()
    with pytest.raises(StoppedError):
        job.future.result(10)


def test_stopping_a_job_that_is_over_changes_nothing(line: Line) -> None:
    job = line.join(lambda _: "done")
    job.future.result(10)
    job.stop()
    assert not job.is_stopped


def test_an_error_reaches_whoever_waits_and_the_line_goes_on(line: Line) -> None:
    def fail(_: Job) -> None:
        raise ValueError("too dark")

    with pytest.raises(ValueError, match="too dark"):
        line.join(fail).future.result(10)
    assert line.join(lambda _: "next").future.result(10) == "next"


def test_a_job_tells_how_far_its_stages_are() -> None:
    job = Job(lambda _: None)
    recorder = StageRecorder(watcher=job)
    with recorder.stage("pointmaps") as tell:
        tell(1, 4)
        assert [(s.name, s.share, s.seconds) for s in job.stages] == [("pointmaps", 0.25, None)]
    assert job.stages[0].share == 1
    assert job.stages[0].seconds == recorder.costs[0].seconds


def test_a_stopped_job_ends_at_its_next_stage() -> None:
    job = Job(lambda _: None)
    job.stop()
    with pytest.raises(StoppedError):
        job.started("cameras")
