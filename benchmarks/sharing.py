"""A pass shared by processes: seconds, memory of each, and bytes exchanged, against the count.

    python -m benchmarks.sharing --model shallow --views 24 --output benchmarks/results

All processes are on this machine's CPU, whose threads they share out, so no time can be gained:
what counts is how little is lost, how much less memory a process takes, and what they exchange.
"""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.forward import MODELS
from benchmarks.memory import LiveTensors
from benchmarks.report import parser_of, setting_of, size_of, table, write
from fast3r.cluster.crew import leading
from fast3r.cluster.peers import Peers
from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.models.shared_pass import even_shares
from fast3r.models.sharing import SharedFast3R

MIB = 2**20
CPU = torch.device("cpu")
# Small chunks, so that tokens weigh more than the working set.
CHUNKS = Chunks(encoder_views=1, fusion_tokens=256, head_views=1)


@dataclass(frozen=True)
class Row:
    """One model and number of views and processes."""

    model: str
    views: int
    processes: int
    seconds: float
    """Of a whole pass, the median of several, made in turn with those of the other rows."""

    cpu_seconds: float
    """Processor time of the process that leads, which a busy machine does not change much."""

    largest_difference: float
    """Of a coordinate to that of one process, over the largest coordinate."""

    peak_mib: float
    """Most that tensors take in one process, without weights and images."""

    counted_mib: float
    """The same by hand: four levels of its tokens, keys and values of all and of its own."""

    received_mib_per_block: float
    """Keys and values that the process that leads gets in each block."""

    formula_mib_per_block: float
    """2 x tokens of the others x width x bytes."""

    def told(self) -> list[Mapping[str, Any]]:
        """Return the line of a table."""
        return [vars(self)]


@dataclass
class Watch:
    """What is measured of a group of processes."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    received: int = 0
    blocks: int = 0
    peak: int = 0
    points: list[Tensor] = field(default_factory=list)

    def count(self, peers: Peers) -> None:
        """Count what this process receives from now on."""
        share = peers.share

        def counted(parts: Sequence[Tensor]) -> None:
            share(parts)
            self.received += sum(p.nbytes for rank, p in enumerate(parts) if rank != peers.rank)
            self.blocks += 1

        peers.share = counted


@contextmanager
def spread(model: Fast3R, processes: int, watch: Watch) -> Iterator[Fast3R]:
    """Give a network on so many processes; in the end the watch knows of the others' peaks."""
    if processes == 1:
        yield model
        return
    with leading("benchmarks.sharing_follower", [CPU] * processes) as peers:
        shared = SharedFast3R(model, peers)
        watch.count(peers)
        yield shared
        peers.order(None)  # by now the others have written down their peaks
        folder = Path(getattr(peers._why_lost, "__self__").meeting_point).parent  # noqa: B009
        peaks = [int((folder / f"peak{rank}").read_text()) for rank in range(1, processes)]
        watch.peak = max(watch.peak, *peaks)


@torch.no_grad()
def look(model: Fast3R, images: Sequence[Tensor], watch: Watch, *, measure: bool) -> None:
    """Make one pass, for its time or for its memory."""
    begun, cpu_begun = time.perf_counter(), time.process_time()
    if measure:
        with LiveTensors() as live:
            for _ in model.stream(images, chunks=CHUNKS):
                pass
        watch.peak = max(watch.peak, live.peak)
        return
    made = model(images, chunks=CHUNKS)
    watch.seconds.append(time.perf_counter() - begun)
    watch.cpu_seconds.append(time.process_time() - cpu_begun)
    watch.points = [prediction.world.points for prediction in made]


def counted(config: Fast3RConfig, tokens: Sequence[int], processes: int) -> int:
    """Return the bytes of levels, keys and values in the process with most tokens."""
    shares = even_shares(tokens, processes)
    own = max(sum(tokens[view] for view in share) for share in shares)
    width = config.fusion.width
    levels = own * (config.encoder.width + 3 * width)
    keys_values = 2 * width * (sum(tokens) + own * (processes > 1))
    return 4 * (levels + keys_values)


def rows_of(name: str, views: int, size: tuple[int, int], most: int, rounds: int) -> list[Row]:
    """Return a row for each number of processes."""
    torch.manual_seed(0)
    model = Fast3R(MODELS[name]).eval()
    images = [torch.rand(1, 3, *size) for _ in range(views)]
    watches = {processes: Watch() for processes in range(1, most + 1)}
    for turn in range(rounds + 1):
        for processes, watch in watches.items():
            with spread(model, processes, watch) as shared:
                if turn == 0:
                    look(shared, images, watch, measure=True)
                else:
                    look(shared, images, Watch(), measure=False)  # warms up
                    look(shared, images, watch, measure=False)
    per_view = size[0] * size[1] // model.patch**2
    return [_row(name, [per_view] * views, n, watches, model) for n in watches]


def _row(
    name: str, tokens: list[int], processes: int, watches: Mapping[int, Watch], model: Fast3R
) -> Row:
    watch, alone = watches[processes], watches[1]
    largest = max(points.abs().max() for points in alone.points)
    pairs = zip(watch.points, alone.points, strict=True)
    others = sum(tokens) - len(even_shares(tokens, processes)[0]) * tokens[0]
    return Row(
        model=name,
        views=len(tokens),
        processes=processes,
        seconds=statistics.median(watch.seconds),
        cpu_seconds=statistics.median(watch.cpu_seconds),
        largest_difference=float(max((a - b).abs().max() for a, b in pairs) / largest),
        peak_mib=watch.peak / MIB,
        counted_mib=counted(model.config, tokens, processes) / MIB,
        received_mib_per_block=watch.received / max(1, watch.blocks) / MIB,
        formula_mib_per_block=2 * others * model.config.fusion.width * 4 / MIB,
    )


def main() -> None:
    """Measure and report."""
    parser = parser_of(__doc__)
    parser.add_argument("--model", choices=MODELS, default="shallow")
    parser.add_argument("--size", type=size_of, default=(192, 256), help="HEIGHTxWIDTH")
    parser.add_argument("--views", type=int, default=24)
    parser.add_argument("--processes", type=int, default=3, help="up to so many")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    setting = setting_of(CPU)
    rows = rows_of(options.model, options.views, options.size, options.processes, options.rounds)
    print(table([line for row in rows for line in row.told()]))
    name = f"sharing-cpu-{options.model}"
    write(options.output, name, "One pass shared by processes", setting, rows)


if __name__ == "__main__":
    main()
