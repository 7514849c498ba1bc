"""`fast3r batch`: many scenes, one after the other or some at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from fast3r.cli.devices import spread
from fast3r.cli.many.manifest import read_scenes
from fast3r.cli.many.outcome import Outcome, outcome_of, write_summary
from fast3r.cli.many.pool import made_in_processes
from fast3r.cli.many.worker import loaded_model, make
from fast3r.cli.options.batch import Batch
from fast3r.cli.options.reconstruct import Reconstruct
from fast3r.cli.output import check_writable, explained
from fast3r.cli.screen import Screen
from fast3r.cluster.launched import is_launched
from fast3r.cluster.shards import Shard
from fast3r.scene.stages import StageRecorder

_SHOWN = 10
"""Scenes that failed that are named at the end; the summary names all."""

_BUG = 1


def run(options: Batch) -> int:
    """Make the scenes that are not finished, write the summary, and print its name.

    Raises:
        ValueError: An option or the manifest is wrong, or scenes failed.
        OSError: The manifest cannot be read, or a process is gone.
        ImportError: An extra is missing.
    """
    _check(options)
    scenes = read_scenes(options.scenes, options.output, options)
    check_writable(options.output)
    shard = Shard.parsed(options.shard)
    with Screen(options.talk) as screen:
        if options.slurm is None:
            _make_part(options, shard, screen)
        else:
            _make_on_cluster(options)
        outcomes = [outcome_of(scene, options.output) for scene in scenes]
        with explained(options.output):
            write_summary(outcomes, options.output / "batch.json")
        _tell(outcomes, screen)
    print(options.output / "batch.json")
    return _judged(shard.of(outcomes))


def _check(options: Batch) -> None:
    """Refuse what can be refused before anything is read."""
    Shard.parsed(options.shard)
    if options.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {options.jobs}")
    if options.slurm is not None and options.shard != "1/1":
        raise ValueError("--slurm makes its own parts: leave out --shard")
    if options.jobs > 1 and options.slurm is None and (options.devices or is_launched()):
        raise ValueError(
            "--jobs makes several scenes at a time, --devices and torchrun make each scene on "
            "several devices: choose one of the two"
        )


def _make_part(options: Batch, shard: Shard, screen: Screen) -> None:
    """Make the scenes of a part that are not finished."""
    scenes = shard.of(read_scenes(options.scenes, options.output, options))
    todo = [s for s in scenes if outcome_of(s, options.output).status != "finished"]
    if len(todo) < len(scenes):
        screen.say(f"{len(scenes) - len(todo)} of {len(scenes)} scenes are finished already")
    if not todo:
        return
    recorder = StageRecorder(watcher=screen)
    with _made(todo, options, recorder) as outcomes, recorder.stage("scenes") as advanced:
        for done, outcome in enumerate(outcomes, start=1):
            screen.say(_line(outcome))
            advanced(done, len(todo))


@contextmanager
def _made(
    todo: Sequence[Reconstruct], options: Batch, recorder: StageRecorder
) -> Iterator[Iterator[Outcome]]:
    """Give what becomes of scenes, as they are made."""
    if options.jobs > 1:
        jobs = min(options.jobs, len(todo))
        with made_in_processes(todo, options.output, options, processes=jobs) as outcomes:
            yield outcomes
        return
    with recorder.stage("load model"):
        model = loaded_model(options)
    with spread(model, options) as model:
        yield (make(scene, options.output, model) for scene in todo)


@dataclass(frozen=True)
class _Part:
    """A job of a cluster, which goes on where it was when it is queued again."""

    options: Batch

    def __call__(self, numbers: list[int]) -> list[int]:
        """Make parts by their numbers, and return these."""
        with Screen(self.options.talk) as screen:
            for each in numbers:
                shard = Shard(each, self.options.jobs)
                _make_part(replace(self.options, jobs=1), shard, screen)
        return numbers

    def checkpoint(self, numbers: list[int]) -> Any:
        """Return what submitit calls after it queued the job again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, numbers)


def _make_on_cluster(options: Batch) -> None:
    """Make all parts in jobs of a cluster, and wait for them.

    Raises:
        ChildProcessError: A job ended before it was done.
    """
    from fast3r.cluster.slurm import SlurmConfig, map_shards, slurm_executor

    config = SlurmConfig(
        name="fast3r-batch",
        partition=options.slurm,
        gpus_per_node=0 if options.device == "cpu" else 1,
        hours=options.hours,
        jobs_at_once=options.jobs,
    )
    there = replace(
        options, scenes=options.scenes.resolve(), output=options.output.resolve(), slurm=None
    )
    executor = slurm_executor(config, there.output / ".slurm")
    from submitit.core.utils import UncompletedJobError

    try:
        map_shards(executor, _Part(there), list(range(1, options.jobs + 1)), jobs=options.jobs)
    except UncompletedJobError as error:
        raise ChildProcessError(
            f"a job of the cluster failed, while others may still run; the same command goes on "
            f"with what is not finished. {error}"
        ) from error


def _line(outcome: Outcome) -> str:
    if outcome.status == "finished":
        placed = f"{outcome.registered} of {outcome.views} photos placed"
        return f"{outcome.name}: {placed} in {outcome.seconds:.1f} s"
    reason = f": {outcome.reason}" if outcome.reason else ""
    return f"{outcome.name} {outcome.status}{reason}"


def _tell(outcomes: Sequence[Outcome], screen: Screen) -> None:
    """Say how many scenes are done, and which have failed and why."""
    counts = {s: [o.status for o in outcomes].count(s) for s in ("finished", "failed", "missing")}
    screen.say(", ".join(f"{count} {state}" for state, count in counts.items()))
    failed = [_line(outcome) for outcome in outcomes if outcome.status == "failed"]
    screen.say_some(failed, more="more, see batch.json", most=_SHOWN)


def _judged(outcomes: Sequence[Outcome]) -> int:
    """Return the exit code of a run.

    Raises:
        ValueError: Scenes failed, and no bug was the reason.
    """
    failed = [outcome for outcome in outcomes if outcome.status != "finished"]
    if any(outcome.bug for outcome in failed):
        return _BUG
    if failed:
        raise ValueError(f"{len(failed)} of {len(outcomes)} scenes failed; {_line(failed[0])}")
    return 0
