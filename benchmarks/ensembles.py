"""What an ensemble gains and costs, and how honest its uncertainty is.

    python -m benchmarks.ensembles                   # 40 held-out procedural scenes of ten photos
    python -m benchmarks.ensembles --photos ROOT     # photo sets with known cameras

Writes benchmarks/results/ensembles{,-photos}.{json,md}. Of each case eight passes are made;
ensembles of two and four are fused from every fourth and second, and one pass is the first. True
errors are measured after one similarity fitted robustly to the true points. Where there are none
it is fitted to the places of the cameras, and rotations are compared after the median turn between
the two worlds. Those of depth also after the median of the photo, since what is
told is the error given the camera.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Benchmark
from fast3r.evaluation.benchmarks.posed_photos import PosedPhotos
from fast3r.evaluation.benchmarks.procedural import open_benchmark
from fast3r.evaluation.methods.answers import answer_of_scene
from fast3r.evaluation.methods.fast3r import view_of
from fast3r.evaluation.running import choose_cases
from fast3r.geometry.alignment import align_local_to_world
from fast3r.geometry.cameras import unproject
from fast3r.geometry.transforms import Similarity, fit_similarity, rotation_angle_deg
from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.scene.ensemble.fusion import Pass, fuse
from fast3r.scene.ensemble.means import rotation_median
from fast3r.scene.ensemble.record import SPREAD
from fast3r.scene.ensemble.run import as_pass, order_of_pass
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.run import reconstruct
from fast3r.views.fitting import fit_view

RESULTS = Path(__file__).parent / "results"
PASSES = 8
FIGURES = ("RRA@15 %", "RTA@15 %", "AUC@30 %", "point error %")
KINDS = ("rotation", "centre", "focal", "depth")


@dataclass
class Tally:
    """What was found with one number of passes."""

    figures: list[dict[str, float]] = field(default_factory=list)
    """Of each case."""

    seconds: list[float] = field(default_factory=list)
    """Of each case."""

    pairs: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: {kind: [] for kind in KINDS}
    )
    """True errors, and the difference between passes, by kind."""


def passes_of(frames: Sequence[Frame], model: Fast3R) -> tuple[list[Pass], list[float]]:
    """Return eight passes and how long each took."""
    views = [view_of(frame.image, index) for index, frame in enumerate(frames)]
    fitted = [fit_view(view, size=model.config.image_size, patch=model.patch) for view in views]
    made, seconds = [], []
    for number in range(PASSES):
        started = time.perf_counter()
        order = order_of_pass(number, PASSES, len(views))
        scene = reconstruct([fitted[i] for i in order], model, seed=number, keep_world=True)
        made.append(as_pass(scene, order))
        seconds.append(time.perf_counter() - started)
    return made, seconds


def measure(tallies: dict[int, Tally], benchmark: Benchmark, case: str, model: Fast3R) -> None:
    """Add what is found in one case."""
    frames = benchmark.frames(case)
    passes, seconds = passes_of(frames, model)
    for count, tally in tallies.items():
        started = time.perf_counter()
        chosen = slice(0, PASSES, PASSES // count)
        scene = passes[0].scene if count == 1 else fuse(passes[chosen], calibration=SPREAD)
        tally.seconds.append(sum(seconds[chosen]) + time.perf_counter() - started)
        tally.figures.append(dict(benchmark.score(frames, answer_of_scene(scene))))
        if scene.uncertainty is not None:
            compare(tally, frames, scene)


def compare(tally: Tally, frames: Sequence[Frame], scene: Reconstruction) -> None:
    """Add true errors beside what the passes differ by."""
    assert scene.uncertainty is not None
    fit = true_from_scene(frames, scene)
    if fit is None:
        return
    moved = scene.transformed(fit)
    turn = median_turn(frames, moved) if frames[0].depth is None else torch.eye(3)
    assert moved.uncertainty is not None
    for index, _, camera in moved.posed_views():
        frame, told = frames[index], moved.uncertainty.cameras[index]
        if told is None or told.rotation_deg is None or told.centre is None:
            continue
        pose = torch.from_numpy(frame.world_from_camera).float()
        found = turn @ camera.world_from_camera[:3, :3]
        turned_deg = rotation_angle_deg(found, pose[:3, :3]).item()
        away = torch.linalg.vector_norm(camera.world_from_camera[:3, 3] - pose[:3, 3]).item()
        focal_off = abs(camera.intrinsics[0, 0].item() - frame.intrinsics[0, 0])
        tally.pairs["rotation"].append((turned_deg, told.rotation_deg))
        tally.pairs["centre"].append((away, told.centre))
        tally.pairs["focal"].append((focal_off, told.focal_px or 0.0))
        if frame.depth is not None and frame.depth.shape == moved.depth[index].shape:
            tally.pairs["depth"] += depth_pairs(frame.depth, moved, index)


def median_turn(frames: Sequence[Frame], scene: Reconstruction) -> Tensor:
    """Return the rotation that turns most cameras into the true ones."""
    turns = [
        torch.from_numpy(frames[index].world_from_camera[:3, :3]).float()
        @ camera.world_from_camera[:3, :3].mT
        for index, _, camera in scene.posed_views()
    ]
    return rotation_median(torch.stack(turns)[:, None], torch.ones(len(turns), 1)).value[0]


def depth_pairs(true: np.ndarray, scene: Reconstruction, index: int) -> list[tuple[float, float]]:
    """Return relative errors of some pixels of a photo, with what is told of them."""
    assert scene.uncertainty is not None
    truth, depth = torch.from_numpy(true).float(), scene.depth[index]
    told = scene.uncertainty.depth[index] / depth
    both = (truth > 0) & (depth > 0) & told.isfinite()
    logs = (depth[both] / truth[both]).log()
    errors = (logs - logs.median()).abs()
    return list(zip(errors[::37].tolist(), told[both][::37].tolist(), strict=True))


def true_from_scene(frames: Sequence[Frame], scene: Reconstruction) -> Similarity | None:
    """Return how the scene lies in the true world; None where it cannot be told."""
    found, true = [], []
    for index, _, camera in scene.posed_views():
        pose = torch.from_numpy(frames[index].world_from_camera).float()
        depth = frames[index].depth
        if depth is None or depth.shape != scene.depth[index].shape:
            found.append(camera.world_from_camera[None, :3, 3])
            true.append(pose[None, :3, 3])
            continue
        truth = torch.from_numpy(depth).float()
        both = (truth > 0) & scene.valid(index)
        intrinsics = torch.from_numpy(frames[index].intrinsics).float()
        found.append(scene.world_points(index)[both][::7])
        true.append(unproject(truth, intrinsics, pose)[both][::7])
    source, target = torch.cat(found), torch.cat(true)
    if len(source) < 100:
        return fit_similarity(source, target) if len(source) >= 3 else None
    fit = align_local_to_world(source[None], target[None], min_inlier_ratio=0.01)
    if not fit.aligned[0]:
        return None
    similarity = fit.world_from_local
    return Similarity(similarity.scale[0], similarity.rotation[0], similarity.translation[0])


def gains(tallies: dict[int, Tally]) -> str:
    """Return the table of figures by number of passes."""
    names = [name for name in FIGURES if name in tallies[1].figures[0]]
    lines = [f"| passes | {' | '.join(names)} | s a case |", "|---" * (len(names) + 2) + "|"]
    for count, tally in tallies.items():
        means = [f"{np.nanmean([f[name] for f in tally.figures]):.1f}" for name in names]
        lines.append(f"| {count} | {' | '.join(means)} | {statistics.median(tally.seconds):.1f} |")
    return "\n".join(lines) + "\n"


def honesty(tallies: dict[int, Tally]) -> str:
    """Return the table of true errors against what passes differ by."""
    lines = [
        "| passes | of | n | median error | median difference | ratio | rank correlation |",
        "|---|---|---|---|---|---|---|",
    ]
    for count, tally in tallies.items():
        for kind, pairs in tally.pairs.items():
            if not pairs:
                continue
            error, told = torch.tensor(pairs).double().unbind(-1)
            ratio = (error.median() / told.median()).item()
            cells = [
                str(count),
                kind,
                str(len(pairs)),
                f"{error.median().item():.3g}",
                f"{told.median().item():.3g}",
                f"{ratio:.2f}",
                f"{rank_correlation(error, told):.2f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Return Spearman's coefficient."""
    ranks = torch.stack([each.argsort().argsort().double() for each in (a, b)])
    return torch.corrcoef(ranks)[0, 1].item()


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--model", default="small")
    options = parser.parse_args()
    model = load_model(options.model)
    benchmark, name = open_benchmark(views=10, variant="128px"), "ensembles"
    if options.photos is not None:
        benchmark, name = PosedPhotos(options.photos, views=10), "ensembles-photos"
    cases = choose_cases(benchmark.cases, options.cases)
    tallies = {count: Tally() for count in (1, 2, 4, PASSES)}
    for case in cases:
        measure(tallies, benchmark, case, model)
        print(benchmark.name, case, flush=True)
    text = f"{benchmark.name}, {len(cases)} cases\n\n{gains(tallies)}\n{honesty(tallies)}"
    document = {
        str(count): {"figures": tally.figures, "seconds": tally.seconds}
        for count, tally in tallies.items()
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
