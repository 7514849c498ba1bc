"""Jobs on disk.

    folder/lock                    held by the server that works on this folder
    folder/incoming/ID/input/      uploads while they arrive; nobody's after a crash
    folder/jobs/ID/job.json        the job, replaced as a whole at each change
    folder/jobs/ID/input/          its photos, until it has ended
    folder/jobs/ID/results/        what it made
    folder/trash/                  what is being deleted

A job appears, and goes, by one rename of its folder.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from fast3r.serve.log import tell
from fast3r.serve.messages import Job

_ID = re.compile("[0-9a-f]{32}")


class Store:
    """The folder of one service, held until the end of its `with` block."""

    def __init__(self, folder: Path) -> None:
        """Take hold of a folder, which is made where missing, and clear what a crash left.

        Raises:
            ValueError: Another server works on this folder.
            OSError: It cannot be written to.
        """
        self._folder = folder.resolve()
        for part in ("incoming", "jobs", "trash"):
            # Photos and results are nobody else's business.
            (self._folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _locked(self._folder / "lock")
        for leftover in (self._folder / "incoming").iterdir():
            shutil.rmtree(leftover, ignore_errors=True)
        self.empty_trash()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def free_bytes(self) -> int:
        """Return the free space on its disk."""
        return shutil.disk_usage(self._folder).free

    def open_incoming(self, job_id: str) -> Path:
        """Return a new folder for the uploads of a job that is not one yet."""
        folder = self._folder / "incoming" / job_id / "input"
        folder.mkdir(parents=True)
        return folder

    def discard_incoming(self, job_id: str) -> None:
        """Delete uploads that became no job; those that did are out of reach."""
        shutil.rmtree(self._folder / "incoming" / job_id, ignore_errors=True)

    def accept(self, job: Job) -> None:
        """Make a job of the uploads that arrived under its id."""
        incoming = self._folder / "incoming" / job.id
        _write_atomically(incoming / "job.json", job.model_dump_json(indent=1))
        incoming.rename(self._home(job.id))

    def save(self, job: Job) -> None:
        """Put the new state of a job in place of the old one."""
        _write_atomically(self._home(job.id) / "job.json", job.model_dump_json(indent=1))

    def load(self) -> list[Job]:
        """Return all jobs, the oldest first; one that cannot be read is deleted."""
        jobs = []
        for home in (self._folder / "jobs").iterdir():
            if not _ID.fullmatch(home.name):
                continue
            try:
                jobs.append(Job.model_validate_json((home / "job.json").read_bytes()))
            except (OSError, ValidationError) as error:
                tell("job unreadable, deleted", level="error", job=home.name[:8], why=str(error))
                self.remove(home.name)
        return sorted(jobs, key=lambda job: job.created)

    def input_folder(self, job_id: str) -> Path:
        """Return where the photos of a job are."""
        return self._home(job_id) / "input"

    def result_folder(self, job_id: str) -> Path:
        """Return where the results of a job are, or will be."""
        return self._home(job_id) / "results"

    def discard_work(self, job_id: str, *, keep_results: bool) -> None:
        """Delete the photos of a job that has ended, and what it wrote if that is no result."""
        shutil.rmtree(self.input_folder(job_id), ignore_errors=True)
        if not keep_results:
            shutil.rmtree(self.result_folder(job_id), ignore_errors=True)

    def remove(self, job_id: str) -> None:
        """Take a job away; `empty_trash` deletes what it leaves."""
        self._home(job_id).rename(self._folder / "trash" / job_id)

    def empty_trash(self) -> None:
        """Delete what was taken away; slow for large results, and safe in any thread."""
        for leftover in (self._folder / "trash").iterdir():
            shutil.rmtree(leftover, ignore_errors=True)

    def _home(self, job_id: str) -> Path:
        assert _ID.fullmatch(job_id)
        return self._folder / "jobs" / job_id


def _write_atomically(path: Path, text: str) -> None:
    """Write a file so that a crash, or a power cut, leaves the old or the new one."""
    draft = path.with_suffix(".draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _locked(path: Path) -> IO[bytes]:
    """Return an open file that no other process can lock until this one lets go or dies."""
    file = path.open("wb")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ValueError(
            f"{path.parent} is in use by another 'fast3r serve'; choose another --folder"
        ) from None
    return file
