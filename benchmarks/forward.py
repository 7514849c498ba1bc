"""Speed and memory of one forward pass, by stage, against the count by hand.

    python -m benchmarks.forward --model published --views 2 8 32 100 --output benchmarks/results

Random weights: neither depends on what the weights are. Prints a Markdown table, and writes it
beside a JSON file. Peaks are those of CUDA's allocator or, on the CPU, of live tensors; images and
pointmaps that the caller keeps are not in them.
"""

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.memory import LiveTensors, count
from benchmarks.poses import processor
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


@dataclass(frozen=True)
class Row:
    """One measured model, number format, size and number of views."""

    model: str
    dtype: str
    size: str
    """Height x width in pixels."""

    views: int
    seconds: float
    encoder_s: float
    fusion_s: float
    heads_s: float
    needed_mib: float
    """Weights, four levels of tokens, keys and values of one layer: what no chunk size saves."""

    counted_mib: float
    """The peak by hand: with the working set of a chunk."""

    peak_mib: float
    peak_over_counted: float
    fusion_tflop_per_s: float
    share_of_matrix_rate: float


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the best measured rate of a large matrix product in TFLOP/s."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    for _ in range(3):
        torch.mm(a, b)
    times = []
    for _ in range(10):
        _wait(device)
        start = time.perf_counter()
        torch.mm(a, b)
        _wait(device)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times) / 1e12


def fusion_flop(config: Fast3RConfig, views: int, tokens_per_view: int) -> float:
    """Return the multiply-adds of the fusion blocks, times two."""
    width, depth = config.fusion.width, config.fusion.depth
    tokens = views * tokens_per_view
    linear = 2 * tokens * width * width * (4 + 2 * config.fusion.mlp_ratio)
    alternate = depth // 2 if config.fusion.alternate else 0
    seen = (depth - alternate) * tokens + alternate * tokens_per_view
    return depth * linear + 4 * tokens * width * seen


@contextmanager
def stage_seconds(model: Fast3R) -> Iterator[dict[str, float]]:
    """Sum the seconds spent inside encoder, fusion and heads, from outside, through hooks."""
    seconds: dict[str, float] = defaultdict(float)
    stages = [(model.encoder, "encoder"), (model.fusion, "fusion")]
    stages += [(head, "heads") for head in (model.world_head, model.local_head) if head]
    handles = []

    def watch(module: nn.Module, name: str) -> None:
        def add(sign: int) -> None:
            _wait(model.device)
            seconds[name] += sign * time.perf_counter()

        handles.append(module.register_forward_pre_hook(lambda *_: add(-1)))
        handles.append(module.register_forward_hook(lambda *_: add(1)))

    for module, name in stages:
        watch(module, name)
    yield seconds
    for handle in handles:
        handle.remove()


def timed(model: Fast3R, images: Sequence[Tensor], chunks: Chunks) -> dict[str, float]:
    """Return the seconds of each stage and of the whole, the medians of up to five runs."""
    runs: list[dict[str, float]] = []
    begun = time.perf_counter()
    while len(runs) < 6 and (len(runs) < 1 or time.perf_counter() - begun < 15):
        with stage_seconds(model) as seconds:
            start = time.perf_counter()
            run(model, images, chunks)
            runs.append({**seconds, "whole": time.perf_counter() - start})
    warm = runs[1:] or runs  # the first warms up, unless it took so long that it does not matter
    return {name: statistics.median(r[name] for r in warm) for name in runs[0]}


def run(model: Fast3R, images: Sequence[Tensor], chunks: Chunks) -> None:
    """Send the pointmaps to the host as they are made, and forget them."""
    with torch.inference_mode():
        for _, prediction in model.stream(images, chunks=chunks):
            prediction.world.points.to("cpu")
    _wait(model.device)


def peak_bytes(model: Fast3R, images: Sequence[Tensor], chunks: Chunks) -> int:
    """Return the most memory that weights and tensors take during one pass."""
    if model.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        run(model, images, chunks)
        return torch.cuda.max_memory_allocated()
    with LiveTensors() as live:
        run(model, images, chunks)
    return live.peak + sum(p.numel() * p.element_size() for p in model.parameters())


def measure(
    model: Fast3R, name: str, size: tuple[int, int], views: int, rate: float, chunks: Chunks
) -> Row:
    """Return the figures of one model, size and number of views."""
    images = [torch.rand(1, 3, *size)] * views
    seconds = timed(model, images, chunks)
    peak = peak_bytes(model, images, chunks)
    counted = count(model, views, size, chunks)
    flop = fusion_flop(model.config, views, size[0] * size[1] // model.patch**2)
    achieved = flop / seconds["fusion"] / 1e12
    return Row(
        model=name,
        dtype=str(model.encoder.norm.weight.dtype).removeprefix("torch."),
        size=f"{size[0]}x{size[1]}",
        views=views,
        seconds=seconds["whole"],
        encoder_s=seconds["encoder"],
        fusion_s=seconds["fusion"],
        heads_s=seconds["heads"],
        needed_mib=counted.needed / MIB,
        counted_mib=counted.peak / MIB,
        peak_mib=peak / MIB,
        peak_over_counted=peak / counted.peak,
        fusion_tflop_per_s=achieved,
        share_of_matrix_rate=achieved / rate,
    )


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    names = list(asdict(rows[0]))
    lines = ["| " + " | ".join(names) + " |", "|" + "---:|" * len(names)]
    for row in rows:
        cells = [_cell(name, value) for name, value in asdict(row).items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(name: str, value: float | str) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.1f}" if name.endswith("_mib") else f"{value:.3f}"


def build(options: argparse.Namespace, name: str, device: torch.device, dtype: str) -> Fast3R:
    """Return the model that the options ask for."""
    with torch.device(device):
        model = Fast3R(MODELS[name], attention=options.attention)
    model = model.to(getattr(torch, dtype)).eval()
    if options.compile:
        for block in [*model.encoder.blocks, *model.fusion.blocks]:
            block.compile(dynamic=True)
    return model


def write(folder: Path, label: str, setting: dict, rows: list[Row]) -> None:
    """Write the rows as JSON and as Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    report = {"setting": setting, "rows": [asdict(row) for row in rows]}
    (folder / f"{label}.json").write_text(json.dumps(report, indent=1) + "\n")
    told = ", ".join(f"{key} {value}" for key, value in setting.items())
    text = f"# One forward pass\n\n{told}. `python -m benchmarks.forward` makes this file.\n\n"
    (folder / f"{label}.md").write_text(text + table(rows) + "\n")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _parsed() -> argparse.Namespace:
    def size(text: str) -> tuple[int, int]:
        height, width = text.split("x")
        return int(height), int(width)

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, nargs="+", default=["shallow", "small"])
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--size", type=size, nargs="+", default=[(96, 128)], help="HEIGHTxWIDTH")
    parser.add_argument("--views", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--compile", action="store_true")
    for name, default in asdict(Chunks()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=300, help="start no new row after this")
    parser.add_argument("--label", default="", help="added to the name of the files")
    parser.add_argument("--output", type=Path, help="folder for the tables")
    return parser.parse_args()


def main() -> None:
    """Measure and report."""
    options = _parsed()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chunks = Chunks(options.encoder_views, options.fusion_tokens, options.head_views)
    setting = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "load_at_start": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "attention": options.attention,
        "compile": options.compile,
        **asdict(chunks),
    }
    device_label = setting["device"].replace(" ", "_") if device.type == "cuda" else "cpu"
    rows: list[Row] = []
    begun = time.perf_counter()
    for name, dtype in product(options.model, options.dtype):
        model = build(options, name, device, dtype)
        rate = matrix_rate(device, getattr(torch, dtype))
        setting[f"matrix_tflop_per_s_{dtype}"] = round(rate, 3)
        for size, views in product(options.size, options.views):
            if time.perf_counter() - begun < options.seconds:
                rows.append(measure(model, name, size, views, rate, chunks))
                print(table(rows[-1:]).splitlines()[-1], flush=True)
                if options.output:
                    write(options.output, f"forward-{device_label}{options.label}", setting, rows)
    print(table(rows))


if __name__ == "__main__":
    main()
