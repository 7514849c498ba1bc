"""A job that is told to stop is queued again, and ends as if nothing had been."""

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import submitit

from fast3r.cluster.signals import Preempted, StopSignals
from fast3r.cluster.slurm import SlurmConfig, slurm_executor
from fast3r.training.slurm import ResumableJob, describe, submit
from tests.cluster import fake_slurm


@dataclass(frozen=True)
class Counting:
    """A run of ten steps that stores how far it is, and sends itself a signal in its first life."""

    folder: Path
    signum: int
    again: int | None = None
    """A second signal, some time after the first."""

    @property
    def steps(self) -> list[str]:
        path = self.folder / "steps"
        return path.read_text().split() if path.exists() else []

    def __call__(self) -> None:
        first_life = not self.steps
        with StopSignals() as signals:
            for step in range(len(self.steps), 10):
                if first_life and step == 4:
                    os.kill(os.getpid(), self.signum)
                    self.strike_again()
                self.store(step)
                if signals.received:
                    raise Preempted(signals.received)

    def store(self, step: int) -> None:
        with (self.folder / "steps").open("a") as file:
            file.write(f"{step} ")

    def strike_again(self) -> None:
        if self.again is not None:
            threading.Timer(0.3, os.kill, (os.getpid(), self.again)).start()


ALL = [str(step) for step in range(10)]
FIRST = ALL[:5]


def executor(folder: Path, *, timeouts: int = 3) -> submitit.LocalExecutor:
    return submitit.LocalExecutor(folder / "jobs", max_num_timeout=timeouts)


def test_a_job_that_is_told_to_stop_goes_on_in_a_second_life(tmp_path) -> None:
    run = Counting(tmp_path, signal.SIGUSR2)
    job = executor(tmp_path).submit(ResumableJob(run))
    job.result()
    assert run.steps == ALL
    assert str(job.stdout()).count("Requeued job") == 1


def test_slurm_is_asked_to_queue_a_job_again(tmp_path, monkeypatch) -> None:
    fake_slurm.install(tmp_path / "slurm", monkeypatch)
    run = Counting(tmp_path, signal.SIGUSR2)
    job = submit(run, SlurmConfig(gpus_per_node=0), tmp_path / "jobs")
    fake_slurm.result(job, tmp_path / "slurm")
    assert run.steps == ALL
    assert fake_slurm.requests(tmp_path / "slurm") == ["requeue 4242"] * 2


def test_a_job_that_gets_sigterm_is_saved_but_not_queued_again(tmp_path) -> None:
    run = Counting(tmp_path, signal.SIGTERM)
    job = executor(tmp_path).submit(ResumableJob(run, end_s=0))
    assert "stopped by SIGTERM" in str(job.exception())
    assert run.steps == FIRST
    assert "Requeued job" not in str(job.stdout())


def test_a_job_that_gets_sigterm_first_and_the_signal_later_goes_on(tmp_path) -> None:
    run = Counting(tmp_path, signal.SIGTERM, again=signal.SIGUSR2)
    job = executor(tmp_path).submit(ResumableJob(run))
    job.result()
    assert run.steps == ALL


def test_a_job_that_ran_out_of_time_too_often_ends(tmp_path) -> None:
    run = Counting(tmp_path, signal.SIGUSR2)
    job = executor(tmp_path, timeouts=0).submit(ResumableJob(run))
    assert "timed-out too many times" in str(job.exception())
    assert run.steps == FIRST


def test_a_run_that_fails_is_not_queued_again(tmp_path) -> None:
    run = Counting(tmp_path / "missing", signal.SIGUSR2)
    job = executor(tmp_path).submit(ResumableJob(run))
    assert "FileNotFoundError" in str(job.exception())
    assert "Requeued job" not in str(job.stdout())


def test_the_description_says_where_the_log_is_and_how_to_cancel(tmp_path, monkeypatch) -> None:
    fake_slurm.install(tmp_path / "slurm", monkeypatch)
    job = slurm_executor(SlurmConfig(gpus_per_node=0), tmp_path / "jobs").submit(int, 7)
    assert fake_slurm.result(job, tmp_path / "slurm") == 7
    lines = describe(job).splitlines()
    assert lines[0] == "submitted job 4242"
    assert Path(lines[1].removeprefix("log: ")).read_text().count("Job completed successfully") == 1
    assert lines[2] == "cancel: scancel 4242"


def test_a_machine_without_slurm_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="there is no sbatch and no srun on this machine"):
        submit(Counting(tmp_path, signal.SIGTERM), SlurmConfig(), tmp_path / "jobs")
