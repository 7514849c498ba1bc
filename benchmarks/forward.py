"""Speed and memory of one forward pass, by stage, against the count by hand.

    python -m benchmarks.forward --views 2 8 32 100 --output benchmarks/results

Random weights: neither depends on what the weights are. Prints a Markdown table and writes JSON.
"""

import argparse
import json
import platform
import statistics
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from fast3r.models.config import SMALL, Fast3RConfig
from fast3r.models.fast3r import Chunks, Fast3R

GIB = 2**30


@dataclass(frozen=True)
class Row:
    """One measured number of views."""

    views: int
    seconds: float
    encoder_s: float
    fusion_s: float
    heads_s: float
    peak_gib: float
    counted_gib: float
    fusion_tflop_per_s: float
    share_of_matrix_rate: float


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the measured rate of a large matrix product in TFLOP/s."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        a @ b
    times = []
    for _ in range(10):
        _wait(device)
        start = time.perf_counter()
        a @ b
        _wait(device)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(times) / 1e12


def fusion_flop(config: Fast3RConfig, views: int, tokens_per_view: int) -> float:
    """Return the multiply-adds of the fusion blocks, times two."""
    width, depth = config.fusion.width, config.fusion.depth
    tokens = views * tokens_per_view
    linear = 2 * tokens * width * width * (4 + 2 * config.fusion.mlp_ratio)
    alternate = depth // 2 if config.fusion.alternate else 0
    seen = (depth - alternate) * tokens + alternate * tokens_per_view
    return depth * linear + 4 * tokens * width * seen


def counted_bytes(model: Fast3R, views: int, tokens_per_view: int, pixels: int) -> float:
    """Return what must exist at the peak: weights, four levels, one layer's keys and values.

    Outputs leave for the host as they are made; images come from there chunk by chunk.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    size = next(model.parameters()).element_size()
    config = model.config
    per_token = config.encoder.width + 3 * config.fusion.width + 2 * config.fusion.width
    return weights + views * tokens_per_view * per_token * size


class StageClock:
    """Sums the seconds spent inside modules, from outside, through hooks."""

    def __init__(self, model: Fast3R, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.device = device
        heads = [h for h in (model.world_head, model.local_head) if h is not None]
        for name, modules in {
            "encoder": [model.encoder],
            "fusion": [model.fusion],
            "heads": heads,
        }.items():
            for module in modules:
                self._watch(name, module)

    def _watch(self, name: str, module: nn.Module) -> None:
        def before(*_: object) -> None:
            _wait(self.device)
            self.seconds[name] -= time.perf_counter()

        def after(*_: object) -> None:
            _wait(self.device)
            self.seconds[name] += time.perf_counter()

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)


def measure(model: Fast3R, views: int, size: tuple[int, int], rate: float, chunks: Chunks) -> Row:
    """Return the figures of one number of views; the median of up to three runs."""
    device = model.device
    images = [torch.rand(1, 3, *size)] * views
    tokens_per_view = size[0] * size[1] // model.patch**2
    runs = []
    clock = StageClock(model, device)
    peak = float("nan")
    for _ in range(4 if views <= 100 else 2):  # the first warms up
        clock.seconds.clear()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        with torch.inference_mode():
            for _, prediction in model.stream(images, chunks=chunks):
                prediction.world.points.to("cpu")
        _wait(device)
        runs.append((time.perf_counter() - start, dict(clock.seconds)))
        if device.type == "cuda":
            peak = torch.cuda.max_memory_allocated() / GIB
    for module in model.modules():
        module._forward_pre_hooks.clear()
        module._forward_hooks.clear()
    seconds, stages = sorted(runs[1:], key=lambda run: run[0])[len(runs[1:]) // 2]
    achieved = fusion_flop(model.config, views, tokens_per_view) / stages["fusion"] / 1e12
    return Row(
        views=views,
        seconds=seconds,
        encoder_s=stages["encoder"],
        fusion_s=stages["fusion"],
        heads_s=stages["heads"],
        peak_gib=peak,
        counted_gib=counted_bytes(model, views, tokens_per_view, size[0] * size[1]) / GIB,
        fusion_tflop_per_s=achieved,
        share_of_matrix_rate=achieved / rate,
    )


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    names = list(asdict(rows[0]))
    lines = ["| " + " | ".join(names) + " |", "|" + "---:|" * len(names)]
    for row in rows:
        cells = [str(v) if isinstance(v, int) else f"{v:.3g}" for v in asdict(row).values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("published", "small"), default="published")
    parser.add_argument("--views", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--size", type=int, nargs=2, default=(384, 512), help="height width")
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--fusion-tokens", type=int, default=Chunks.fusion_tokens)
    parser.add_argument("--seconds", type=float, default=300, help="start no new row after this")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or "cpu"
    rate = matrix_rate(device, dtype)
    config = SMALL if options.model == "small" else Fast3RConfig()
    with torch.device(device):
        model = Fast3R(config, attention=options.attention).to(dtype).eval()
    if options.compile:
        for block in [*model.encoder.blocks, *model.fusion.blocks]:
            block.compile(dynamic=True)
    chunks = Chunks(fusion_tokens=options.fusion_tokens)
    print(f"{name}, torch {torch.__version__}, {dtype}, matrix product {rate:.0f} TFLOP/s")
    rows: list[Row] = []
    begun = time.perf_counter()
    for views in options.views:
        if time.perf_counter() - begun > options.seconds:
            break
        rows.append(measure(model, views, tuple(options.size), rate, chunks))
        print(table(rows[-1:]).splitlines()[-1], flush=True)
        if options.output:
            report = {
                "device": name,
                "torch": torch.__version__,
                "dtype": str(dtype),
                "model": options.model,
                "size": list(options.size),
                "attention": options.attention,
                "compile": options.compile,
                "chunks": asdict(chunks),
                "matrix_tflop_per_s": rate,
                "rows": [asdict(row) for row in rows],
            }
            options.output.mkdir(parents=True, exist_ok=True)
            suffix = f"-{options.attention}" + ("-compile" if options.compile else "")
            label = f"forward-{options.model}-{name.replace(' ', '_')}{suffix}.json"
            (options.output / label).write_text(json.dumps(report, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
