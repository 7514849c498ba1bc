"""Jobs on a Slurm cluster: what they ask for, their batch script, and lists split over an array.

Slurm runs one process for each GPU. Everything goes through submitit, which stores the function
of a job in a folder that all machines of the cluster must see.
"""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import submitit

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class SlurmConfig:
    """What a job asks of the cluster; None leaves it to the cluster's default."""

    name: str = "fast3r"
    """Of the job, as `squeue` shows it. Not "bash" or "interactive", which Lightning takes for a
    shell."""

    nodes: int = 1
    """Machines."""

    gpus_per_node: int = 1
    """GPUs of each machine, and processes; 0 for one process without a GPU."""

    cpus_per_task: int = 8
    """Cores of each process."""

    memory_gb: float | None = None
    """Memory of each machine."""

    hours: float = 24.0
    """Time limit. A job that can be continued is queued again when it is reached."""

    partition: str | None = None
    """Queue."""

    account: str | None = None
    """Who pays."""

    signal_delay_s: int = 300
    """Seconds before the time limit at which a job is told to save. It must be enough for a
    validation, one step, and writing a checkpoint."""

    max_timeouts: int = 100
    """How often a job that ran out of time is queued again; preemptions are not counted."""

    jobs_at_once: int = 32
    """Jobs of an array that may run at the same time."""

    setup: tuple[str, ...] = ()
    """Shell commands before the job, such as "module load cuda"."""

    extra: Mapping[str, str] = field(default_factory=dict)
    """Further options of sbatch without their dashes, such as {"qos": "high"} or {"constraint":
    "a100"}; "" for those that take no value."""

    dry_run: bool = False
    """Print the batch script instead of submitting it."""

    def __post_init__(self) -> None:
        at_least = {"nodes": 1, "gpus_per_node": 0, "cpus_per_task": 1, "jobs_at_once": 1}
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 < self.signal_delay_s < 3600 * self.hours:
            raise ValueError(
                f"signal_delay_s must be within the time limit of {3600 * self.hours:g} s, "
                f"got {self.signal_delay_s}"
            )
        if self.name in ("bash", "interactive"):
            raise ValueError(
                f"a job must not be named {self.name!r}: Lightning takes it for a shell"
            )

    @property
    def tasks_per_node(self) -> int:
        """Processes on each machine."""
        return max(1, self.gpus_per_node)


def slurm_executor(config: SlurmConfig, folder: str | Path) -> "submitit.SlurmExecutor":
    """Return what submits functions as jobs: `.submit(function, *arguments)` returns a job.

    Args:
        config: What each job asks for.
        folder: Where scripts, functions, results and logs are stored; seen by all machines.

    Raises:
        ValueError: There is no Slurm on this machine.
        ImportError: submitit is not installed.
    """
    missing = [command for command in ("sbatch", "srun") if shutil.which(command) is None]
    if missing:
        raise ValueError(
            f"there is no {' and no '.join(missing)} on this machine: submit from a login node of "
            "the cluster, run here with launcher=local, or only look at the script with dry_run"
        )
    return _executor(config, folder)


def sbatch_script(config: SlurmConfig, folder: str | Path) -> str:
    """Return the batch script of a job, which need not be on a cluster; see `slurm_executor`."""
    executor = _executor(config, folder)
    return executor._make_submission_file_text(executor._submitit_command_str, "")


def map_shards(
    executor: "submitit.Executor",
    function: Callable[[list[Item]], Sequence[Result]],
    items: Sequence[Item],
    *,
    jobs: int,
) -> list[Result]:
    """Return the results of a function of a list, one for each item, in their order.

    The list is dealt out to an array of jobs, and this process waits for all of them.

    Args:
        executor: Of `slurm_executor`, or another one of submitit.
        function: Takes some of the items and returns as many results. It and they must pickle.
        items: What to work on.
        jobs: Number of jobs; no more than there are items are used.

    Raises:
        RuntimeError: A job failed; the message holds its traceback and the path of its log.
        ValueError: The function did not return one result for each item.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    if not items:
        return []
    shards = [list(items[first::jobs]) for first in range(min(jobs, len(items)))]
    submitted = executor.map_array(function, shards)
    results: list[Any] = [None] * len(items)
    for first, (job, shard) in enumerate(zip(submitted, shards, strict=True)):
        made = job.result()
        if len(made) != len(shard):
            raise ValueError(f"{len(shard)} items were given to a job, {len(made)} came back")
        results[first::jobs] = made
    return results


def _executor(config: SlurmConfig, folder: str | Path) -> "submitit.SlurmExecutor":
    try:
        import submitit
    except ImportError as error:
        raise ImportError("Slurm needs submitit: pip install 'fast3r[train]'") from error

    class Executor(submitit.SlurmExecutor):
        """Without the look for srun, which a script can be made without."""

        @classmethod
        def affinity(cls) -> int:
            return 2

    executor = Executor(folder, max_num_timeout=config.max_timeouts)
    executor.update_parameters(**_parameters(config))
    return executor


def _parameters(config: SlurmConfig) -> dict[str, Any]:
    """Return the options of a job by submitit's names."""
    return {
        "job_name": config.name,
        "nodes": config.nodes,
        "ntasks_per_node": config.tasks_per_node,
        "gpus_per_node": config.gpus_per_node or None,
        "cpus_per_task": config.cpus_per_task,
        # Since Slurm 22.05 srun no longer takes over the cores that sbatch was given. It empties
        # logs of a job that is queued again unless told otherwise.
        "srun_args": [f"--cpus-per-task={config.cpus_per_task}", "--open-mode=append"],
        "mem": None if config.memory_gb is None else f"{math.ceil(config.memory_gb * 1024)}M",
        "time": math.ceil(60 * config.hours),
        "partition": config.partition,
        "account": config.account,
        "signal_delay_s": config.signal_delay_s,
        "array_parallelism": config.jobs_at_once,
        "setup": list(config.setup) or None,
        "stderr_to_stdout": True,
        "wckey": None,
        # Slurm itself queues a job again when its machine fails or a more important job comes.
        "additional_parameters": {"requeue": True}
        | {option: value or True for option, value in config.extra.items()},
    }
