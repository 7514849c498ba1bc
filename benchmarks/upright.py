"""Photos that lie on their side: how many are found, none turned wrongly, and what it gains.

    python -m benchmarks.upright PHOTOS         # writes benchmarks/results/upright.{json,md}

PHOTOS is a folder of photo sets with known cameras, as `fast3r evaluate posed-photos` takes them.
Each set is turned in several manners; cameras turn with their photos, so poses can be scored
whatever the manner. The sets count as upright as they are stored.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Answer
from fast3r.evaluation.benchmarks.posed_photos import PosedPhotos
from fast3r.evaluation.figures import camera_figures
from fast3r.evaluation.methods.fast3r import view_of
from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.scene.run import reconstruct
from fast3r.scene.upright import find_turns, upright
from fast3r.views.view import View

RESULTS = Path(__file__).parent / "results"
FIGURES = ("RRA@15 %", "RTA@15 %", "AUC@30 %")


def _three_of_ten(random: np.random.Generator, count: int) -> list[int]:
    turns = [0] * count
    for index in random.permutation(count)[: round(0.3 * count)]:
        turns[index] = int(random.integers(1, 4))
    return turns


MANNERS: dict[str, Callable[[np.random.Generator, int], list[int]]] = {
    "as stored": lambda random, count: [0] * count,
    "three of ten turned": _three_of_ten,
    "all turned alike": lambda random, count: [int(random.choice([1, 3]))] * count,
    "each turned at random": lambda random, count: random.integers(0, 4, count).tolist(),
}


@dataclass(frozen=True)
class Row:
    """What became of one set, turned in one manner; shares in percent."""

    set: str
    manner: str
    photos: int
    upright_before: float
    upright_after: float
    alike_before: float
    """Photos that stand like most of the set, whichever way up that is."""
    alike_after: float
    turned_wrongly: float
    """Photos that were turned and are not upright then."""
    seconds: float
    """Of finding the turns."""
    off: dict[str, float]
    """Poses without turning."""
    auto: dict[str, float]
    """Poses with it."""


def turned_frame(frame: Frame, quarter_turns: int) -> Frame:
    """Return a photo turned clockwise, with the camera that would have taken it."""
    height, width = frame.image.shape[:2]
    angle = quarter_turns * np.pi / 2
    cosine, sine = round(np.cos(angle)), round(np.sin(angle))
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], dtype=np.float64)
    shift = {0: (0, 0), 1: (height, 0), 2: (width, height), 3: (0, width)}[quarter_turns % 4]
    pixels = turn.copy()
    pixels[:2, 2] = shift
    pose = frame.world_from_camera.copy()
    pose[:3, :3] = pose[:3, :3] @ turn.T
    return replace(
        frame,
        image=np.ascontiguousarray(np.rot90(frame.image, -quarter_turns)),
        intrinsics=pixels @ frame.intrinsics @ turn.T,
        world_from_camera=pose,
    )


def measure(
    model: Fast3R, name: str, frames: Sequence[Frame], manner: str, turns: Sequence[int]
) -> Row:
    """Return what is found in one set that was turned."""
    shown = [turned_frame(frame, turn) for frame, turn in zip(frames, turns, strict=True)]
    views = [view_of(frame.image, index) for index, frame in enumerate(shown)]
    started = time.perf_counter()
    found = find_turns(views)
    seconds = time.perf_counter() - started
    after = [(turn + found.get(index, 0)) % 4 for index, turn in enumerate(turns)]
    return Row(
        set=name,
        manner=manner,
        photos=len(frames),
        upright_before=_percent([turn == 0 for turn in turns]),
        upright_after=_percent([turn == 0 for turn in after]),
        alike_before=_alike(turns),
        alike_after=_alike(after),
        turned_wrongly=_percent([i in found and after[i] != 0 for i in range(len(after))]),
        seconds=seconds,
        off=_poses(model, shown, views),
        auto=_poses(model, shown, upright(views)) if found else _poses(model, shown, views),
    )


def _poses(model: Fast3R, frames: Sequence[Frame], views: Sequence[View]) -> dict[str, float]:
    scene = reconstruct(views, model)
    answer = Answer(
        [None if c is None else c.world_from_camera.double().numpy() for c in scene.cameras],
        [None if c is None else c.intrinsics.double().numpy() for c in scene.cameras],
        [None] * len(views),
    )
    figures = camera_figures(frames, answer)
    return {name: figures[name] for name in FIGURES}


def _alike(turns: Sequence[int]) -> float:
    return 100 * max(list(turns).count(k) for k in range(4)) / len(turns)


def _percent(flags: Sequence[bool]) -> float:
    return 100 * sum(flags) / len(flags)


def table(rows: Sequence[Row]) -> str:
    """Return the means over the sets, one line a manner."""
    lines = [
        "| manner | upright, before / after | alike | turned wrongly | s a set | RRA@15 off / auto "
        "| RTA@15 | AUC@30 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for manner in MANNERS:
        chosen = [row for row in rows if row.manner == manner]
        if not chosen:
            continue

        def mean(of: Callable[[Row], float], chosen: list[Row] = chosen) -> str:
            return f"{statistics.mean(map(of, chosen)):.1f}"

        poses = [
            f"{mean(lambda r, n=name: r.off[n])} / {mean(lambda r, n=name: r.auto[n])}"
            for name in FIGURES
        ]
        cells = [
            manner,
            f"{mean(lambda r: r.upright_before)} / {mean(lambda r: r.upright_after)}",
            f"{mean(lambda r: r.alike_before)} / {mean(lambda r: r.alike_after)}",
            mean(lambda r: r.turned_wrongly),
            mean(lambda r: r.seconds),
            *poses,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all sets in all manners."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--views", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--manners", nargs="+", choices=list(MANNERS), default=list(MANNERS))
    parser.add_argument("--name", default="upright", help="of the files of results")
    options = parser.parse_args()
    benchmark = PosedPhotos(options.photos, views=options.views)
    random = np.random.default_rng(options.seed)
    model = load_model("small")
    rows = []
    for case in benchmark.cases:
        frames = benchmark.frames(case)
        for manner in options.manners:
            turns = MANNERS[manner](random, len(frames))
            rows.append(measure(model, case, frames, manner, turns))
            print(rows[-1], flush=True)
    document = {"views": options.views, "seed": options.seed, "rows": [asdict(r) for r in rows]}
    (RESULTS / f"{options.name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / f"{options.name}.md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
