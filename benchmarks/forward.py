r"""Speed and memory of one forward pass, by stage, against the limits of the machine.

    python -m benchmarks.forward --model published --size 192x256 --seconds 300
    python -m benchmarks.forward --device cuda --model published --size 384x512 --dtype bfloat16 \
        --views 2 20 100 320 1000 1500 --seconds 1500 --output benchmarks/results

Random weights: neither speed nor memory depends on what the weights are. Operations and bytes are
counted as the operators run; their limits are a large matrix product and a large copy, measured
before. Seconds are medians of up to five runs; with one thread on the CPU they are the processor's
own, so that other work on the machine counts little. Peaks are those of CUDA's allocator or, on the
CPU, of live tensors; images and pointmaps that the caller keeps are not in them.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import product

import torch
from torch import Tensor

from benchmarks.counting import Counting, Work
from benchmarks.memory import LiveTensors, count
from benchmarks.report import label_of, parser_of, setting_of, show, size_of, table, write
from benchmarks.stages import at_stages, now, stage_seconds
from fast3r.models.config import SMALL, EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.fast3r import Chunks, Fast3R

MIB = 2**20

MODELS = {
    "published": Fast3RConfig(),
    "small": SMALL,
    # Of the published kind, but with few blocks, so that tokens outweigh weights on any machine.
    "shallow": Fast3RConfig(
        encoder=EncoderConfig(width=384, depth=2, heads=6),
        fusion=FusionConfig(width=384, depth=4, heads=6),
        head=HeadConfig(features=64, last_features=32, level_widths=(48, 96, 192, 384)),
    ),
}

VIEWS = (2, 4, 8, 16, 32, 50, 100, 200, 320, 500, 1000, 1500)


@dataclass(frozen=True)
class Rates:
    """What the machine can do, measured."""

    matrix: float
    """Operations per second of a large matrix product."""

    copy: float
    """Bytes read and written per second by a copy that fits no cache."""


@dataclass(frozen=True)
class Stage:
    """One of encoder, fusion and heads."""

    name: str
    seconds: float
    gflop: float
    moved_gb: float
    matrix_share: float
    """Of the measured rate of matrix products; above 1 where a stage's own are faster."""

    copy_share: float
    """Of the measured rate of copies. The limit is reached where the two shares add up to 1, or
    above, as far as caches serve."""


@dataclass(frozen=True)
class Row:
    """One measured model, number format, size and number of views."""

    model: str
    dtype: str
    size: str
    """Height x width in pixels."""

    views: int
    seconds: float
    needed_mib: float
    """Weights, four levels of tokens, keys and values of one layer: what no chunk size saves."""

    counted_mib: float
    """The peak by hand: with the working set of a chunk."""

    peak_mib: float
    peak_over_counted: float
    stages: tuple[Stage, ...]

    def told(self) -> list[dict[str, float | str]]:
        """Return a line for the pass and one for each stage."""
        what = {name: getattr(self, name) for name in ("model", "dtype", "size", "views")}
        whole = Stage("whole", self.seconds, 0, 0, 0, 0)
        lines = []
        for stage in (*self.stages, whole):
            line = {**what, "stage": stage.name, "seconds": stage.seconds}
            for name in ("gflop", "moved_gb", "matrix_share", "copy_share"):
                line[name] = getattr(stage, name) if stage is not whole else ""
            for name in ("counted_mib", "peak_mib", "peak_over_counted"):
                line[name] = getattr(self, name) if stage is whole else ""
            lines.append(line)
        return lines


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the best measured rate of a large matrix product in operations per second."""
    size = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / _best_seconds(lambda: torch.mm(a, b), device)


def copy_rate(device: torch.device) -> float:
    """Return the best measured rate of a copy in bytes per second, read and written."""
    source = torch.ones(2**28 if device.type == "cuda" else 2**25, device=device)
    target = torch.zeros_like(source)
    return 2 * source.nbytes / _best_seconds(lambda: target.copy_(source), device)


def _best_seconds(work: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(10):
        start = now(device)
        work()
        times.append(now(device) - start)
    return min(times)


def timed(model: Fast3R, images: Sequence[Tensor], chunks: Chunks) -> dict[str, float]:
    """Return the seconds of each stage and of the whole, the medians of up to five runs."""
    runs: list[dict[str, float]] = []
    begun = time.perf_counter()
    while len(runs) < 5 and (len(runs) < 1 or time.perf_counter() - begun < 15):
        with stage_seconds(model) as seconds:
            start = now(model.device)
            run(model, images, chunks)
            runs.append({**seconds, "whole": now(model.device) - start})
    return {name: statistics.median(r[name] for r in runs) for name in runs[0]}


def run(model: Fast3R, images: Sequence[Tensor], chunks: Chunks) -> None:
    """Send the pointmaps to the host as they are made, and forget them."""
    with torch.inference_mode():
        for _, prediction in model.stream(images, chunks=chunks):
            prediction.world.points.to("cpu")


def counted_work(
    model: Fast3R, images: Sequence[Tensor], chunks: Chunks
) -> tuple[dict[str, Work], int]:
    """Return the work of each stage, and the most memory that weights and tensors take."""
    on_cuda = model.device.type == "cuda"
    if on_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(model.device)
    counting, live = Counting(), LiveTensors()

    def enter(name: str) -> None:
        counting.stage = name

    with nullcontext() if on_cuda else live, counting, at_stages(model, enter, lambda _: enter("")):
        run(model, images, chunks)
    if on_cuda:
        return counting.stages, torch.cuda.max_memory_allocated(model.device)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return counting.stages, live.peak + weights


def measure(
    model: Fast3R, name: str, size: tuple[int, int], views: int, rates: Rates, chunks: Chunks
) -> Row:
    """Return the figures of one model, size and number of views."""
    images = [torch.rand(1, 3, *size)] * views
    work, peak = counted_work(model, images, chunks)  # which warms up, too
    seconds = timed(model, images, chunks)
    counted = count(model, views, size, chunks)
    return Row(
        model=name,
        dtype=str(model.encoder.norm.weight.dtype).removeprefix("torch."),
        size=f"{size[0]}x{size[1]}",
        views=views,
        seconds=seconds["whole"],
        needed_mib=counted.needed / MIB,
        counted_mib=counted.peak / MIB,
        peak_mib=peak / MIB,
        peak_over_counted=peak / counted.peak,
        stages=tuple(
            _stage(stage, seconds[stage], work[stage], rates)
            for stage in ("encoder", "fusion", "heads")
        ),
    )


def _stage(name: str, seconds: float, work: Work, rates: Rates) -> Stage:
    return Stage(
        name=name,
        seconds=seconds,
        gflop=work.flop / 1e9,
        moved_gb=work.moved_bytes / 1e9,
        matrix_share=work.flop / seconds / rates.matrix,
        copy_share=work.moved_bytes / seconds / rates.copy,
    )


def build(options: argparse.Namespace, name: str, device: torch.device, dtype: str) -> Fast3R:
    """Return the model that the options ask for."""
    with torch.device(device):
        model = Fast3R(MODELS[name], attention=options.attention)
    model = model.to(getattr(torch, dtype)).eval()
    if options.compile:
        model.compile_blocks()
    return model


def _parsed() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--model", choices=MODELS, nargs="+", default=["shallow", "small"])
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--size", type=size_of, nargs="+", default=[(96, 128)], help="HEIGHTxWIDTH")
    parser.add_argument("--views", type=int, nargs="+", default=VIEWS, help="from few to many")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of the CPU; by default what torch takes")
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--compile", action="store_true")
    for name, default in asdict(Chunks()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument(
        "--seconds", type=float, default=120, help="for each model, format and size"
    )
    parser.add_argument("--label", default="", help="added to the name of the files")
    return parser.parse_args()


def main() -> None:
    """Measure and report."""
    options = _parsed()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    chunks = Chunks(options.encoder_views, options.fusion_tokens, options.head_views)
    setting = {
        **setting_of(device),
        "attention": options.attention,
        "compile": options.compile,
        **asdict(chunks),
    }
    rows: list[Row] = []
    for name, dtype in product(options.model, options.dtype):
        model = build(options, name, device, dtype)
        rates = Rates(matrix_rate(device, getattr(torch, dtype)), copy_rate(device))
        setting[f"matrix_tflop_per_s_{dtype}"] = round(rates.matrix / 1e12, 3)
        setting["copy_gb_per_s"] = round(rates.copy / 1e9, 1)
        for size in options.size:
            for row in within(options, model, name, size, rates, chunks):
                rows.append(row)
                show(row)
                label = "-".join(filter(None, ("forward", label_of(device), options.label)))
                write(options.output, label, "One forward pass", setting, rows)
    print(table([line for row in rows for line in row.told()]))


def within(
    options: argparse.Namespace,
    model: Fast3R,
    name: str,
    size: tuple[int, int],
    rates: Rates,
    chunks: Chunks,
) -> Iterator[Row]:
    """Yield rows from few views to many, as long as the time is likely to do for the next."""
    begun, last, views_before = time.perf_counter(), 0.0, 0
    for views in options.views:
        start = time.perf_counter()
        # A pass takes at most as much more as the square of the views.
        expected = last * (views / views_before) ** 2 if views_before else 0
        if start - begun + expected > options.seconds:
            return
        yield measure(model, name, size, views, rates, chunks)
        last, views_before = time.perf_counter() - start, views


if __name__ == "__main__":
    main()
