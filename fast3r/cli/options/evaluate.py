"""What `fast3r evaluate` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from fast3r.cli.options import common


@dataclass(frozen=True)
class Evaluate:
    """Measure models, COLMAP and others on a benchmark, and write a report.

    Results that are there already are not made again, so a run that was stopped goes on. Prints the
    name of the report. Without a benchmark it tells which there are.

    Examples:
      fast3r evaluate procedural --views 2 4 8 --methods fast3r colmap-incremental trivial
      fast3r evaluate posed-photos photos/ --model small --output results
      fast3r evaluate re10k data/re10k --model large --slurm gpu --jobs 8
      fast3r evaluate scaling --model small
    """

    benchmark: Annotated[Positional[str], common.optional("BENCHMARK")] = ""
    """Name of the benchmark."""

    root: Annotated[Positional[Path | None], common.optional("ROOT")] = None
    """Folder of its dataset, where it has one."""

    methods: Annotated[
        tuple[str, ...],
        arg(
            metavar="NAME ...",
            help="fast3r, fast3r-world-points, fast3r-pointmaps, fast3r-refined, fast3r-ensemble, "
            "colmap-incremental, colmap-global, trivial, or python:MODULE:FUNCTION for any other "
            "model.",
        ),
    ] = ("fast3r", "trivial")

    model: Annotated[tuple[str, ...], arg(metavar="NAME|PATH ...")] = ("small",)
    """Weights of the fast3r methods; several are measured side by side."""

    output: Annotated[Path, arg(metavar="DIR")] = Path("evaluation")
    """Folder for results and report; made where missing. One folder may hold many benchmarks."""

    views: Annotated[tuple[int, ...], common.optional("INT ...")] = ()
    """Photos of a case, each number a benchmark of its own; by default those of papers."""

    variant: Annotated[str | None, common.optional("NAME")] = None
    """Protocol, where a benchmark has several; by default its first."""

    cases: Annotated[int | None, common.optional("INT")] = None
    """Use only so many cases, evenly chosen."""

    size: common.Size = None
    device: common.Device = "auto"
    precision: common.Precision = "auto"

    seed: int = 0
    """Of everything random in the methods."""

    shard: common.Shard = "1/1"
    jobs: common.Jobs = 1
    slurm: common.Slurm = None
    hours: common.Hours = 24.0

    report_only: common.Flag = False
    """Only write the report of the results that are there."""

    talk: common.TalkOptions = common.USUAL_TALK
