"""`fast3r evaluate`: figures of our models and of others on a benchmark, and their report."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from fast3r.cli.options.evaluate import Evaluate
from fast3r.cli.output import check_writable
from fast3r.cli.screen import Screen
from fast3r.cluster.shards import Shard
from fast3r.evaluation.benchmark import Benchmark
from fast3r.evaluation.catalog import listing_of, open_benchmarks
from fast3r.evaluation.methods.catalog import open_methods
from fast3r.evaluation.report import write_report
from fast3r.evaluation.results import BenchmarkResults, read_results
from fast3r.evaluation.running import Listener, choose_cases
from fast3r.evaluation.running import run as run_benchmark
from fast3r.evaluation.scaling import write_scaling
from fast3r.evaluation.summary import summarized
from fast3r.evaluation.tables import number
from fast3r.scene.stages import StageRecorder


def run(options: Evaluate) -> int:
    """Run what has no result yet, write the report, and print its name.

    Raises:
        ValueError: An option is wrong, the dataset is not laid out as expected, or photos of it
            cannot be read.
        ImportError: An extra is missing.
    """
    _check(options)
    if not options.report_only:
        benchmarks = _opened(options)
        check_writable(options.output)
        if options.jobs > 1 or options.slurm is not None:
            _run_in_jobs(options)
        else:
            _run_part(options, Shard.parsed(options.shard), benchmarks)
    every = read_results(options.output)
    # The tables first: curves may lack their extra.
    report = write_report(options.output)[-1]
    if write_scaling(options.output, every):
        write_report(options.output)
    with Screen(options.talk) as screen:
        for results in every:
            _tell(results, screen)
    print(report)
    _refuse_unreadable(every)
    return 0


def _check(options: Evaluate) -> None:
    """Refuse what can be refused before anything is loaded."""
    if not options.report_only:
        listing_of(options.benchmark)
    Shard.parsed(options.shard)
    if options.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {options.jobs}")
    if options.jobs > 1 and options.shard != "1/1":
        raise ValueError("--jobs makes its own parts: leave out --shard")
    if not 0 <= options.seed < 2**31:
        raise ValueError(f"--seed must be between 0 and 2**31 - 1, got {options.seed}")


def _opened(options: Evaluate) -> list[Benchmark]:
    return open_benchmarks(
        options.benchmark, options.root, views=options.views, variant=options.variant
    )


def _run_part(options: Evaluate, shard: Shard, benchmarks: Sequence[Benchmark]) -> None:
    """Run one part of the cases."""
    listing = listing_of(options.benchmark)
    limit = listing.cases if options.cases is None else options.cases
    methods = open_methods(
        options.methods,
        models=options.model,
        device=options.device,
        precision=options.precision,
        size=options.size,
        seed=options.seed,
    )
    with Screen(options.talk) as screen:
        recorder = StageRecorder(watcher=screen)
        for benchmark in benchmarks:
            with recorder.stage(benchmark.name) as advanced:
                run_benchmark(
                    benchmark,
                    methods,
                    options.output,
                    cases=choose_cases(benchmark.cases, limit),
                    shard=shard,
                    listener=_OnScreen(screen, advanced),
                )


def _run_in_jobs(options: Evaluate) -> None:
    """Run all parts at once, in processes here or in jobs of a cluster."""
    numbers = list(range(1, options.jobs + 1))
    part = partial(_run_numbered, options)
    if options.slurm is None:
        # A fresh interpreter each: CUDA does not survive a fork.
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
            list(pool.map(part, [[each] for each in numbers]))
        return
    from fast3r.cluster.slurm import SlurmConfig, map_shards, slurm_executor

    config = SlurmConfig(
        name="fast3r-evaluate",
        partition=options.slurm,
        hours=options.hours,
        jobs_at_once=options.jobs,
    )
    executor = slurm_executor(config, options.output.resolve() / ".slurm")
    map_shards(executor, part, numbers, jobs=options.jobs)


def _run_numbered(options: Evaluate, numbers: list[int]) -> list[int]:
    """Run parts by their numbers, and return these."""
    for each in numbers:
        _run_part(options, Shard(each, options.jobs), _opened(options))
    return numbers


class _OnScreen(Listener):
    """Shows what a run tells."""

    def __init__(self, screen: Screen, advanced: Callable[[int, int], None]) -> None:
        self._screen, self._advanced = screen, advanced

    def said(self, text: str) -> None:
        """Show a line."""
        self._screen.say(text)

    def advanced(self, done: int, steps: int) -> None:
        """Move the bar."""
        self._advanced(done, steps)


def _tell(results: BenchmarkResults, screen: Screen) -> None:
    first = results.manifest.columns[0]
    for row in summarized(results):
        failed = f", {row.failed} failed" if row.failed else ""
        shown = number(row.figures[first], first)
        screen.say(
            f"{results.manifest.name} {row.method}: {first} {shown} ({row.cases} cases{failed})"
        )


def _refuse_unreadable(every: Sequence[BenchmarkResults]) -> None:
    count = sum(len(results.unreadable) for results in every)
    if count:
        results = next(results for results in every if results.unreadable)
        case, reason = next(iter(results.unreadable.items()))
        raise ValueError(
            f"{count} cases could not be read and are not in the figures; the first is {case} of "
            f"{results.manifest.name}: {reason}"
        )
