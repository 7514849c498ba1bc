"""Board and crew: what becomes of jobs, whatever their worker does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fast3r.serve import crew
from fast3r.serve.board import Entry, FullError
from fast3r.serve.crew import UnfitError
from fast3r.serve.messages import ENDED, Job, JobOptions, Upload
from fast3r.serve.service import Service, running
from fast3r.serve.settings import Limits, Settings
from fast3r.serve.store import Store
from tests.serve.client import FAKE_COMMAND, lives


@pytest.fixture(autouse=True)
def _fake_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "WORKER_COMMAND", FAKE_COMMAND)


def during(
    folder: Path,
    story: Callable[[Service], Awaitable[Any]],
    *,
    model: str = "fake",
    devices: tuple[str, ...] = ("cpu",),
    **limits: float,
) -> Any:
    """Return what comes of a story that happens while a service with the fake worker runs."""

    async def run() -> Any:
        loop = asyncio.get_running_loop()
        crash: asyncio.Future[BaseException] = loop.create_future()
        with Store(folder) as store:
            started = running(settings, store, on_crash=crash.set_result)
            async with started as service:
                told = asyncio.ensure_future(story(service))
                await asyncio.wait({told, crash}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
                if crash.done():
                    told.cancel()
                    raise crash.result()
                return told.result()

    settings = Settings(folder, model=model, devices=devices, limits=Limits(**limits))
    return asyncio.run(run())


def submit(service: Service, words: str, **options: Any) -> str:
    with service.board.place() as job_id:
        (service.store.open_incoming(job_id) / "00000").write_text(words)
        service.board.submit(job_id, JobOptions(**options), [Upload(name="a", file="00000")])
    return job_id


async def until(service: Service, job_id: str, *states: str) -> Job:
    while (job := service.board[job_id].job).state not in (states or ENDED):
        await asyncio.wait_for(service.board.next_change.wait(), 30)
    return job


async def one_job(service: Service, words: str) -> Job:
    return await until(service, submit(service, words))


def starts(folder: Path, job_id: str) -> list[int]:
    """Return the processes that began a job."""
    path = folder / "jobs" / job_id / "starts"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_job_is_done_and_its_photos_are_deleted(tmp_path: Path) -> None:
    job = during(tmp_path, lambda service: one_job(service, "ok"))
    assert job.state == "done"
    assert job.tries == 1
    home = tmp_path / "jobs" / job.id
    assert not (home / "input").exists()
    assert json.loads((home / "results" / "cameras.json").read_text())["seed"] == 0


def test_the_queue_is_first_in_first_out(tmp_path: Path) -> None:
    async def story(service: Service) -> list[Job]:
        ids = [submit(service, "ok") for _ in range(5)]
        assert [service.board.position(job_id) for job_id in ids] == [0, 1, 2, 3, 4]
        return [await until(service, job_id) for job_id in ids]

    jobs = during(tmp_path, story)
    ended = [job.ended for job in jobs]
    assert ended == sorted(ended)


def test_each_device_works_on_a_job_of_its_own(tmp_path: Path) -> None:
    async def story(service: Service) -> set[int]:
        ids = [submit(service, "sleep 0.5") for _ in range(2)]
        jobs = [await until(service, job_id) for job_id in ids]
        assert max(job.started for job in jobs) < min(job.ended for job in jobs)
        return {pid for job in jobs for pid in starts(tmp_path, job.id)}

    assert len(during(tmp_path, story, devices=("cuda:0", "cuda:1"))) == 2


@pytest.mark.parametrize("steps", range(6))
def test_no_job_is_overlooked_whenever_it_comes(tmp_path: Path, steps: int) -> None:
    async def story(service: Service) -> str:
        await one_job(service, "ok")
        await asyncio.sleep(0.05)
        # A change that brings no work, and work so many steps of the loop after it.
        await service.board.cancel(submit(service, "ok"))
        for _ in range(steps):
            await asyncio.sleep(0)
        return (await asyncio.wait_for(one_job(service, "ok"), 5)).state

    assert during(tmp_path, story) == "done"


def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    async def story(service: Service) -> None:
        for _ in range(2):
            submit(service, "ok")
        with pytest.raises(FullError) as refused:
            submit(service, "ok")
        assert refused.value.retry_s >= 1

    during(tmp_path, story, queue=2)


def test_an_upload_that_arrives_holds_its_place(tmp_path: Path) -> None:
    async def story(service: Service) -> None:
        with service.board.place(), pytest.raises(FullError):
            submit(service, "ok")
        submit(service, "ok")

    during(tmp_path, story, queue=1)


def test_a_job_whose_worker_dies_once_is_done_in_the_end(tmp_path: Path) -> None:
    job = during(tmp_path, lambda service: one_job(service, "die-once"))
    assert job.state == "done"
    assert job.tries == 2
    first, second = starts(tmp_path, job.id)
    assert first != second


def test_a_job_whose_worker_always_dies_fails_and_the_next_one_is_done(tmp_path: Path) -> None:
    async def story(service: Service) -> tuple[Job, Job]:
        bad, good = submit(service, "die"), submit(service, "ok")
        return await until(service, bad), await until(service, good)

    bad, good = during(tmp_path, story)
    assert bad.state == "failed"
    assert bad.error.kind == "crashed"
    assert bad.error.retryable
    assert "the worker died (exit code 9) 2 times" in bad.error.message
    assert len(starts(tmp_path, bad.id)) == 2
    assert good.state == "done"


def test_a_job_that_takes_too_long_fails_and_its_worker_is_killed(tmp_path: Path) -> None:
    async def story(service: Service) -> tuple[Job, Job]:
        slow, good = submit(service, "sleep 60"), submit(service, "ok")
        return await until(service, slow), await until(service, good)

    slow, good = during(tmp_path, story, job_s=1.0)
    assert slow.state == "failed"
    assert slow.error.kind == "timed_out"
    assert "longer than 1 s" in slow.error.message
    assert not any(map(lives, starts(tmp_path, slow.id)))
    assert good.state == "done"


def test_cancelling_stops_the_work_before_it_returns(tmp_path: Path) -> None:
    async def story(service: Service) -> str:
        job_id = submit(service, "sleep 60")
        while not service.board[job_id].share:
            await asyncio.wait_for(service.board.next_change.wait(), 30)
        (pid,) = starts(tmp_path, job_id)
        await service.board.cancel(job_id)
        assert not lives(pid)
        assert service.board[job_id].job.state == "cancelled"
        return (await one_job(service, "ok")).state

    assert during(tmp_path, story) == "done"


def test_a_waiting_job_that_is_cancelled_is_never_begun(tmp_path: Path) -> None:
    async def story(service: Service) -> Job:
        job_id = submit(service, "ok")
        await service.board.cancel(job_id)
        await one_job(service, "ok")
        return service.board[job_id].job

    job = during(tmp_path, story)
    assert job.state == "cancelled"
    assert not starts(tmp_path, job.id)


def test_a_job_that_has_ended_cannot_be_cancelled(tmp_path: Path) -> None:
    async def story(service: Service) -> str:
        job = await one_job(service, "ok")
        await service.board.cancel(job.id)
        return service.board[job.id].job.state

    assert during(tmp_path, story) == "done"


@pytest.mark.parametrize("words", ["ok", "sleep 60"])
def test_a_forgotten_job_leaves_nothing(tmp_path: Path, words: str) -> None:
    async def story(service: Service) -> None:
        job_id = submit(service, words)
        await until(service, job_id, "running", "done")
        await service.board.forget(job_id)
        assert job_id not in service.board
        assert not [path for path in tmp_path.rglob("*") if job_id in path.name]

    during(tmp_path, story)


def test_jobs_expire(tmp_path: Path) -> None:
    async def story(service: Service) -> None:
        job = await one_job(service, "ok")
        await service.board.expire()
        assert job.id in service.board
        await asyncio.sleep(0.3)
        await service.board.expire()
        assert job.id not in service.board
        assert not [path for path in tmp_path.rglob("*") if job.id in path.name]

    during(tmp_path, story, keep_s=0.3)


def test_a_job_that_was_cut_short_by_the_end_of_the_service_is_done_after_it(
    tmp_path: Path,
) -> None:
    async def begin(service: Service) -> str:
        job_id = submit(service, "sleep 1")
        await until(service, job_id, "running")
        return job_id

    job_id = during(tmp_path, begin)
    job = during(tmp_path, lambda service: until(service, job_id))
    assert job.state == "done"
    # The service's own end is not held against the job.
    assert job.tries == 1


def test_a_job_during_which_the_service_was_killed_twice_has_failed(tmp_path: Path) -> None:
    async def nothing(service: Service) -> Entry:
        return service.board[job_id]

    job_id = during(tmp_path, lambda service: one_job(service, "ok")).id
    with Store(tmp_path) as store:
        (job,) = store.load()
        store.save(job.model_copy(update={"state": "running", "tries": 2, "ended": None}))
    job = during(tmp_path, nothing).job
    assert job.state == "failed"
    assert "the service was stopped by force 2 times" in job.error.message


def test_a_failure_that_the_worker_reports_is_the_job_s(tmp_path: Path) -> None:
    job = during(tmp_path, lambda service: one_job(service, "fail too_large"))
    assert job.state == "failed"
    assert job.error.kind == "too_large"
    assert job.tries == 1
    assert not (tmp_path / "jobs" / job.id / "results").exists()


def test_a_worker_that_talks_nonsense_is_replaced(tmp_path: Path) -> None:
    job = during(tmp_path, lambda service: one_job(service, "babble"))
    assert job.error.kind == "crashed"
    assert len(set(starts(tmp_path, job.id))) == 2


def test_a_worker_that_dies_while_it_waits_is_replaced(tmp_path: Path) -> None:
    async def story(service: Service) -> str:
        (pid,) = starts(tmp_path, (await one_job(service, "ok")).id)
        process = await asyncio.create_subprocess_exec("kill", "-9", str(pid))
        await process.wait()
        return (await one_job(service, "ok")).state

    assert during(tmp_path, story) == "done"


def test_a_model_that_cannot_be_loaded_ends_the_service(tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match="no such model"):
        during(tmp_path, lambda _: asyncio.sleep(30), model="unfit")


def test_a_worker_that_never_gets_ready_is_tried_again_ever_more_rarely(tmp_path: Path) -> None:
    async def story(service: Service) -> str:
        await asyncio.sleep(1.8)
        assert not service.health().ready
        return service.metrics.text([], {"cpu": False})

    text = during(tmp_path, story, model="stillborn")
    assert 'fast3r_worker_restarts_total{device="cpu"} 2' in text


def test_progress_is_told_and_never_goes_back(tmp_path: Path) -> None:
    async def story(service: Service) -> None:
        job_id = submit(service, "sleep 60")
        while not service.board[job_id].share:
            await asyncio.wait_for(service.board.next_change.wait(), 30)
        status = service.status(job_id)
        assert (status.stage, status.share) == ("pointmaps", 0.4)
        service.board.progress(service.board[job_id], "cameras", 0.2)
        assert service.status(job_id).share == 0.4

    during(tmp_path, story)
