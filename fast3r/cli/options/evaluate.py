"""What `fast3r evaluate` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from fast3r.cli.options.common import Talk


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

    benchmark: Annotated[Positional[str], arg(metavar="BENCHMARK")] = ""
    """Name of the benchmark."""

    root: Annotated[Positional[Path | None], arg(metavar="ROOT")] = None
    """Folder of its dataset, where it has one."""

    methods: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("fast3r", "trivial")
    """fast3r, fast3r-world-points, fast3r-refined, fast3r-ensemble, colmap-incremental,
    colmap-global, trivial, or python:MODULE:FUNCTION for any other model."""

    model: Annotated[tuple[str, ...], arg(metavar="NAME|PATH ...")] = ("small",)
    """Weights of the fast3r methods; several are measured side by side."""

    output: Annotated[Path, arg(metavar="DIR")] = Path("evaluation")
    """Folder for results and report; made where missing. One folder may hold many benchmarks."""

    views: Annotated[tuple[int, ...], arg(metavar="INT ...")] = ()
    """Photos of a case, each number a benchmark of its own; by default those of papers."""

    variant: Annotated[str | None, arg(metavar="NAME")] = None
    """Protocol, where a benchmark has several; by default its first."""

    cases: Annotated[int | None, arg(metavar="INT")] = None
    """Use only so many cases, evenly chosen."""

    size: Annotated[int | None, arg(metavar="PX")] = None
    """Long side of the photos as our models see them; by default what each was made for."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where our models compute: auto, cuda, cuda:1, mps, cpu."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of our models' transformer; auto is bfloat16 where CUDA devices have it."""

    seed: int = 0
    """Of everything random in the methods."""

    shard: Annotated[str, arg(metavar="I/N")] = "1/1"
    """Do only a part, such as 2/8; the report is of all parts in the folder."""

    jobs: int = 1
    """Do so many parts at the same time, in processes here or as jobs of a cluster."""

    slurm: Annotated[str | None, arg(metavar="PARTITION")] = None
    """Send the parts to this partition of a Slurm cluster, and wait for them."""

    hours: float = 24.0
    """Time limit of a job on a cluster."""

    report_only: FlagCreatePairsOff[bool] = False
    """Only write the report of the results that are there."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""
