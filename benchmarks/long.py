"""Longer than one pass: how well chunks agree with one pass, and what memory they take.

    python -m benchmarks.long                      # all parts, some minutes
    python -m benchmarks.long --parts walk         # one of walk, flight, photos, memory
    python -m benchmarks.long --parts photos --sets FOLDER ...    # each with images/, cameras.json

`walk` is a simulated network, which tells the truth but for noise and drift; the others are the
bundled model. Writes benchmarks/results/long.{json,md}; parts that are not run stay as they were.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.procedural_flight import fly
from benchmarks.report import load, parser_of, processor
from benchmarks.simulated_walk import Errors, SimulatedNetwork, walk
from fast3r.geometry.transforms import fit_similarity, nearest_rotation, rotation_angle_deg
from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.scene.long import reconstruct_long
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.run import reconstruct
from fast3r.views.load import load_views
from fast3r.views.view import View

RESULTS = Path(__file__).parent / "results"
FRAMES = (200, 400, 800, 1600)
MEMORY_CHUNK, MEMORY_OVERLAP = 50, 10
WAYS = ("one pass", "chunks", "chunks, loops closed")


@dataclass(frozen=True)
class Row:
    """What one way reached on one set."""

    set: str
    views: int
    chunks: str
    way: str
    registered: int
    place: float
    """Mean distance of cameras from the truth after the best similarity, relative to the mean
    distance of the true ones from their middle."""
    turn_deg: float
    """Mean angle to the truth after the best rotation."""
    loops: str
    """Closed of those that were tried."""
    seconds: float


@dataclass(frozen=True)
class Memory:
    """What one run of many frames took."""

    frames: int
    chunks: int
    seconds: float
    peak_mib: float


def compare(
    name: str,
    views: Sequence[View],
    truth: Tensor,
    model: Fast3R,
    chunk_views: int,
    overlap: int,
) -> list[Row]:
    """Return a row for one pass, for chunks, and for chunks whose loops are closed."""

    def long(*, close_loops: bool) -> Callable[[], Reconstruction]:
        return lambda: reconstruct_long(
            views, model, chunk_views=chunk_views, overlap=overlap, close_loops=close_loops
        )

    runs = (
        lambda: reconstruct(views, model, chunk_views=None),
        long(close_loops=False),
        long(close_loops=True),
    )
    rows = []
    for way, run in zip(WAYS, runs, strict=True):
        start = time.perf_counter()
        scene = run()
        seconds = time.perf_counter() - start
        rows.append(_row(name, f"{chunk_views}/{overlap}", way, scene, truth, seconds))
        print(rows[-1], flush=True)
    return rows


def _row(
    name: str, chunks: str, way: str, scene: Reconstruction, truth: Tensor, seconds: float
) -> Row:
    place, turn_deg = errors(scene, truth)
    loops = [link for link in scene.long.links if link.kind == "loop"] if scene.long else []
    return Row(
        set=name,
        views=len(scene.views),
        chunks="" if scene.long is None else chunks,
        way=way,
        registered=len(scene.registered),
        place=place,
        turn_deg=turn_deg,
        loops=f"{sum(link.kept for link in loops)} of {len(loops)}" if loops else "",
        seconds=seconds,
    )


def errors(scene: Reconstruction, truth: Tensor) -> tuple[float, float]:
    """Return the mean errors of places and turns of the views that have a camera."""
    cameras = [camera for camera in scene.cameras if camera is not None]
    found = torch.stack([camera.world_from_camera for camera in cameras]).double()
    true = truth[scene.registered].double()
    fit = fit_similarity(found[:, :3, 3], true[:, :3, 3])
    apart = (fit(found[:, :3, 3]) - true[:, :3, 3]).norm(dim=-1)
    extent = (true[:, :3, 3] - true[:, :3, 3].mean(dim=0)).norm(dim=-1).mean()
    turn = nearest_rotation((true[:, :3, :3] @ found[:, :3, :3].mT).mean(dim=0))
    angles = rotation_angle_deg(turn @ found[:, :3, :3], true[:, :3, :3])
    return (apart.mean() / extent).item(), angles.mean().item()


def walks() -> list[Row]:
    """Simulated networks with little and with much drift, on walks of several lengths."""
    rows = []
    for label, drift in (("little drift", Errors()), ("much drift", Errors(0.3, 0.01, 0.2, 0.01))):
        for count in (150, 300, 600):
            truth = walk(count)
            network = SimulatedNetwork(truth, drift)
            name = f"walk, {label}"
            rows += compare(name, truth.views, truth.world_from_camera, network, 50, 10)
    return rows


def flights(seeds: Sequence[int], frames: int) -> list[Row]:
    """The bundled model on flights round procedural scenes."""
    model = load_model("small", device="cpu")
    rows = []
    for seed in seeds:
        flight = fly(seed, frames)
        name = f"flight {seed}"
        rows += compare(name, flight.views, flight.world_from_camera, model, 32, 8)
    return rows


def photos(folders: Sequence[Path]) -> list[Row]:
    """The bundled model on photos whose cameras are known."""
    model = load_model("small", device="cpu")
    rows = []
    for folder in folders:
        entries = json.loads((folder / "cameras.json").read_text())["images"]
        files = [folder / "images" / Path(entry["file"]).name for entry in entries]
        views = load_views(files, size=model.config.image_size, patch=model.patch)
        truth = torch.tensor([entry["c2w"] for entry in entries])
        rows += compare(folder.name, views, truth, model, 12, 4)
    return rows


def memory() -> list[Memory]:
    """Peak memory of processes that reconstruct more and more frames."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for count in FRAMES:
            frames = _panned(folder / f"{count}", count)
            command = [sys.executable, "-c", _MEASURED, str(frames), str(folder / f"work{count}")]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(Memory(count, **json.loads(done.stdout)))
            print(rows[-1], flush=True)
    return rows


_MEASURED = f"""
import json, resource, sys, time, torch
from pathlib import Path
from fast3r.models.checkpoints import load_model
from fast3r.scene.long import reconstruct_long
from fast3r.views.load import load_views

torch.set_num_threads(1)
model = load_model("small", device="cpu")
views = load_views(sys.argv[1], size=64, patch=model.patch, lazy_above=0)
start = time.perf_counter()
scene = reconstruct_long(
    views, model, chunk_views={MEMORY_CHUNK}, overlap={MEMORY_OVERLAP}, folder=Path(sys.argv[2])
)
unit = 2**20 if sys.platform == "darwin" else 2**10
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
seconds = time.perf_counter() - start
print(json.dumps({{"chunks": len(scene.long.chunks), "seconds": seconds, "peak_mib": peak}}))
"""


def _panned(folder: Path, count: int) -> Path:
    """Write frames of a slow pan over a photo, back and forth."""
    folder.mkdir(parents=True)
    source = sorted((Path(__file__).parents[1] / "examples/photos/banana").glob("*.jpg"))[0]
    photo = Image.open(source)
    width, height = photo.width // 2, photo.height // 2
    for index, phase in enumerate(np.linspace(0, 2 * np.pi * count / 400, count)):
        left = round((photo.width - width) * (0.5 + 0.5 * np.sin(phase)))
        top = round((photo.height - height) * (0.5 + 0.5 * np.cos(0.7 * phase)))
        box = (left, top, left + width, top + height)
        photo.crop(box).resize((160, 120)).save(folder / f"frame_{index:05d}.jpg")
    return folder


def tables(found: dict[str, list[dict[str, object]]], setting: dict[str, object]) -> str:
    """Return what was measured as Markdown."""
    lines = [
        "# Longer than one pass",
        "",
        f"{setting['processor']}, one thread, load {setting['load_at_start']} at start. "
        "`python -m benchmarks.long` makes this file.",
        "",
    ]
    rows = [Row(**row) for part in ("walk", "flight", "photos") for row in found.get(part, [])]  # type: ignore
    if rows:
        lines += [
            "| set | views | chunk/overlap | way | cameras | place | turn, deg | loops | s |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r.set} | {r.views} | {r.chunks} | {r.way} | {r.registered} | {r.place:.1%} "
            f"| {r.turn_deg:.2f} | {r.loops} | {r.seconds:.0f} |"
            for r in rows
        ]
    taken = [Memory(**row) for row in found.get("memory", [])]  # type: ignore
    if taken:
        lines += ["", "| frames | chunks | s | peak MiB |", "|---|---|---|---|"]
        for row in taken:
            lines.append(
                f"| {row.frames} | {row.chunks} | {row.seconds:.0f} | {row.peak_mib:.0f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--parts", nargs="+", default=["walk", "flight", "memory"],
        choices=["walk", "flight", "photos", "memory"],
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 2, 3, 4], help="of flights")
    parser.add_argument("--frames", type=int, default=96, help="of each flight")
    parser.add_argument("--sets", type=Path, nargs="+", default=[], help="folders of photos")
    parser.set_defaults(output=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    setting = {"processor": processor(), "load_at_start": load()}
    path = options.output / "long.json"
    found = json.loads(path.read_text())["parts"] if path.exists() else {}
    measure = {
        "walk": walks,
        "flight": lambda: flights(options.seeds, options.frames),
        "photos": lambda: photos(options.sets),
        "memory": memory,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        found[part] = [asdict(row) for row in measure[part]()]
        report = {"setting": setting, "parts": found}
        path.write_text(json.dumps(report, indent=1) + "\n")
        (options.output / "long.md").write_text(tables(found, setting))


if __name__ == "__main__":
    main()
