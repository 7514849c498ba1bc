"""Jobs on disk."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fast3r.serve.messages import Job, JobOptions, Upload
from fast3r.serve.store import Store

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def a_job(number: int) -> Job:
    return Job(
        id=f"{number:032x}",
        options=JobOptions(seed=number),
        uploads=[Upload(name="a.jpg", file="00000.jpg")],
        created=START - timedelta(seconds=number),
    )


def accept(store: Store, job: Job) -> None:
    (store.open_incoming(job.id) / "00000.jpg").write_bytes(b"photo")
    store.accept(job)


def test_accepted_jobs_are_there_after_a_restart_the_oldest_first(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in (1, 3, 2):
            accept(store, a_job(number))
    with Store(tmp_path) as store:
        assert store.load() == [a_job(3), a_job(2), a_job(1)]
        assert (store.input_folder(a_job(1).id) / "00000.jpg").read_bytes() == b"photo"


def test_a_saved_change_is_there_after_a_restart(tmp_path: Path) -> None:
    changed = a_job(1).model_copy(update={"state": "running", "tries": 1})
    with Store(tmp_path) as store:
        accept(store, a_job(1))
        store.save(changed)
    with Store(tmp_path) as store:
        assert store.load() == [changed]


def test_a_change_that_was_cut_short_leaves_the_job_as_it_was(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        accept(store, a_job(1))
        (tmp_path / "jobs" / a_job(1).id / "job.draft").write_text('{"id": ')
    with Store(tmp_path) as store:
        assert store.load() == [a_job(1)]


def test_uploads_that_were_cut_short_are_gone_after_a_restart(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        (store.open_incoming("f" * 32) / "00000.jpg").write_bytes(b"half a ph")
    with Store(tmp_path) as store:
        assert store.load() == []
        assert not list((tmp_path / "incoming").iterdir())


def test_a_job_that_cannot_be_read_is_deleted(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        accept(store, a_job(1))
        (tmp_path / "jobs" / a_job(1).id / "job.json").write_text("not json")
        assert store.load() == []
        store.empty_trash()
        assert not [path for path in tmp_path.rglob("*") if a_job(1).id in path.name]


def test_what_is_not_ours_in_the_folder_of_jobs_stays(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        (tmp_path / "jobs" / "holiday").mkdir()
        assert store.load() == []
        assert (tmp_path / "jobs" / "holiday").is_dir()


def test_a_removed_job_leaves_nothing(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        accept(store, a_job(1))
        store.remove(a_job(1).id)
        assert store.load() == []
        store.empty_trash()
    found = sorted(path.name for path in tmp_path.rglob("*"))
    assert found == ["incoming", "jobs", "lock", "trash"]


def test_a_folder_is_for_one_server_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(ValueError, match="in use by another 'fast3r serve'"):
        Store(tmp_path)
    with Store(tmp_path):
        pass


def test_nobody_else_can_look_into_the_folder(tmp_path: Path) -> None:
    with Store(tmp_path):
        assert (tmp_path / "jobs").stat().st_mode & 0o077 == 0
