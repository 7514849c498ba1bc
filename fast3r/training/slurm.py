"""Training as a job of a Slurm cluster that stops, is queued again and goes on by itself."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fast3r.cluster.signals import Preempted
from fast3r.cluster.slurm import SlurmConfig, slurm_executor

if TYPE_CHECKING:
    import submitit


@dataclass(frozen=True)
class ResumableJob:
    """A function that goes on from where it was when it is called again.

    Slurm ends a job at its time limit, for one that matters more, or when a machine fails. When
    the job starts again, the function is called again, and finds its last checkpoint by itself.

    A job that gets the signal that was asked for, ahead of its time limit, is queued again from
    here. One that gets SIGTERM only is not, since `scancel` sends it as well; Slurm itself queues
    a job again that it ended for another one.
    """

    run: Callable[[], object]
    """Raises `Preempted` when it was told to stop and is saved."""

    end_s: float = 300.0
    """How long a saved run waits to be ended, or for a signal that says more than SIGTERM."""

    def __call__(self) -> None:
        """Run to the end, or until told to stop."""
        try:
            self.run()
        except Preempted as stop:
            if stop.received != _requeue_signal():
                time.sleep(self.end_s)
                raise
            _queue_again()

    def checkpoint(self) -> Any:
        """Return what submitit calls after it queued the job again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit(
    run: Callable[[], object], config: SlurmConfig, folder: str | Path
) -> "submitit.Job[None]":
    """Submit a run as a job that goes on by itself; see `ResumableJob`.

    Args:
        run: Trains, from its last checkpoint where there is one. It must pickle.
        config: What the job asks for.
        folder: Where script, log and function are stored; seen by all machines.

    Raises:
        ValueError: There is no Slurm on this machine.
        ImportError: submitit is not installed.
    """
    return slurm_executor(config, folder).submit(ResumableJob(run))


def describe(job: "submitit.Job[Any]") -> str:
    """Return what the user wants to know of a submitted job."""
    return (
        f"submitted job {job.job_id}\n"
        f"log: {job.paths.stdout}\n"
        f"cancel: scancel {job.job_id}\n"
        "It is queued again and goes on by itself when it runs out of time or is preempted."
    )


def _queue_again() -> None:
    """Do what submitit does at its signal: the first process queues the job again and exits."""
    signum = _requeue_signal()
    handler = signal.getsignal(signum)
    assert callable(handler)
    handler(signum, None)


def _requeue_signal() -> signal.Signals:
    from submitit.core.job_environment import JobEnvironment

    return signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
