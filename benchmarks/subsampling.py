"""Thinned fusion (`fast3r.models.thinning`): time against accuracy.

    python -m benchmarks.subsampling --views 50 100 200 --output benchmarks/results
    python -m benchmarks.subsampling --photos FOLDER --views 50       # posed photos of your own
    python -m benchmarks.subsampling --time-only published --size 192x256 --views 16 32

Every scene is run once exactly and once at each share, in turn, so that other work on the machine
slows all alike. Accuracy is scored as `fast3r evaluate` does; the change is the median distance of
the world points from those of the exact run, relative to their distance from the first camera.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import torch
from torch import Tensor

from benchmarks.forward import MODELS
from benchmarks.report import label_of, parser_of, setting_of, size_of, table, write
from benchmarks.stages import stage_seconds
from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Benchmark
from fast3r.evaluation.benchmarks.posed_photos import PosedPhotos
from fast3r.evaluation.benchmarks.procedural import Procedural
from fast3r.evaluation.methods.answers import answer_of_scene, scene_of
from fast3r.evaluation.methods.fast3r import view_of
from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.models.prediction import Prediction
from fast3r.models.thinning import Thinning
from fast3r.views.fitting import fit_view
from fast3r.views.view import View

FIGURES = ("AUC@30 %", "rotation deg", "RRA@15 %", "point error %")


@dataclass(frozen=True)
class Row:
    """One share of the tokens, over all scenes of a set."""

    photos: str
    """The set."""

    scenes: int
    views: float
    """Of a scene, on average."""

    share: float
    """Of the tokens of each view but the first; 1 is exact."""

    fusion_s: float
    """Of a scene; the median."""

    faster: float
    """Exact seconds over these, scene by scene; the median."""

    change_percent: float | None
    """Distance of the world points from the exact ones; the median of all scenes."""

    figures: Mapping[str, float]
    """Means over the scenes."""

    def told(self) -> list[dict[str, float | str | None]]:
        """Return the line of the table."""
        kept = {key: value for key, value in vars(self).items() if key != "figures"}
        return [{**kept, **self.figures}]


@dataclass(frozen=True)
class _Outcome:
    """One scene at one share."""

    fusion_s: float
    predictions: list[Prediction]


def measured(model: Fast3R, name: str, benchmark: Benchmark, shares: Sequence[float]) -> list[Row]:
    """Return a row a share; 1 comes first."""
    seconds: dict[float, list[float]] = defaultdict(list)
    changes: dict[float, list[float]] = defaultdict(list)
    figures: dict[float, list[Mapping[str, float]]] = defaultdict(list)
    photos: list[int] = []
    for case in benchmark.cases:
        frames = benchmark.frames(case)
        views = _views(model, frames)
        photos.append(len(views))
        outcomes = {share: _run(model, [v.image[None] for v in views], share) for share in shares}
        exact = outcomes[1.0].predictions
        for share, outcome in outcomes.items():
            seconds[share].append(outcome.fusion_s)
            changes[share].append(_change_percent(outcome.predictions, exact))
            scene = scene_of(outcome.predictions, views, device=model.device, seed=0)
            figures[share].append(benchmark.score(frames, answer_of_scene(scene)))
    return [
        Row(
            photos=name,
            scenes=len(photos),
            views=fmean(photos),
            share=share,
            fusion_s=median(seconds[share]),
            faster=median(e / s for e, s in zip(seconds[1.0], seconds[share], strict=True)),
            change_percent=median(changes[share]),
            figures=_means(figures[share]),
        )
        for share in shares
    ]


def timed(
    model: Fast3R, name: str, size: tuple[int, int], views: int, shares: Sequence[float]
) -> list[Row]:
    """Return a row a share for noise, whose accuracy means nothing."""
    images = [torch.rand(1, 3, *size) for _ in range(views)]
    seconds = {share: _run(model, images, share, heads=False).fusion_s for share in shares}
    return [
        Row(name, 1, views, share, seconds[share], seconds[1.0] / seconds[share], None, {})
        for share in shares
    ]


@torch.inference_mode()
def _run(model: Fast3R, images: Sequence[Tensor], share: float, *, heads: bool = True) -> _Outcome:
    model.thinning = None if share == 1 else Thinning(share)
    with stage_seconds(model) as seconds:
        tokens = model.tokens(images)
    predictions = dict(model.predict(tokens)) if heads else {}
    model.thinning = None
    return _Outcome(seconds["fusion"], [predictions[index] for index in range(len(predictions))])


def _views(model: Fast3R, frames: Sequence[Frame]) -> list[View]:
    size = model.config.image_size
    views = [view_of(frame.image, index) for index, frame in enumerate(frames)]
    return [fit_view(view, size=size, patch=model.patch) for view in views]


def _change_percent(found: Sequence[Prediction], exact: Sequence[Prediction]) -> float:
    pairs = [(a.world.points, b.world.points) for a, b in zip(found, exact, strict=True)]
    moved = [((a - b).norm(dim=-1) / b.norm(dim=-1)).flatten() for a, b in pairs]
    return 100 * torch.cat(moved).median().item()


def _means(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(f[name] for f in figures) for name in FIGURES if name in figures[0]}


def _sets(options: argparse.Namespace, views: int) -> tuple[str, Benchmark]:
    if options.photos is None:
        return "procedural", Procedural(views=views, height=96, width=128, cases=options.cases)
    return options.photos.name, _Enough(options.photos, views)


class _Enough(PosedPhotos):
    """The sets of a folder that have so many photos."""

    def __init__(self, root: Path, views: int) -> None:
        super().__init__(root, views=views)
        self._sets = {name: found for name, found in self._sets.items() if len(found) >= views}
        if not self._sets:
            raise ValueError(f"no set in {root} has {views} photos")


def main() -> None:
    """Measure and report."""
    parser = parser_of(__doc__)
    parser.add_argument("--model", default="small", help="as for fast3r reconstruct")
    parser.add_argument("--views", type=int, nargs="+", default=[50, 100])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.5, 0.25, 0.125])
    parser.add_argument("--cases", type=int, default=5, help="procedural scenes")
    parser.add_argument("--photos", type=Path, help="folder of sets with cameras")
    parser.add_argument("--time-only", choices=MODELS, help="random weights and noise")
    parser.add_argument("--size", type=size_of, default=(192, 256), help="of the noise")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--label", default="", help="added to the name of the files")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    setting, shares, rows = setting_of(device), [1.0, *options.shares], []
    name = options.time_only
    model = Fast3R(MODELS[name]).eval().to(device) if name else load_model(options.model)
    for views in options.views:
        if name:
            rows += timed(model, f"{name}, noise", options.size, views, shares)
        else:
            rows += measured(model.to(device), *_sets(options, views), shares)
        print(table([line for row in rows[-len(shares) :] for line in row.told()]), flush=True)
        label = "-".join(filter(None, ("subsampling", label_of(device), options.label)))
        write(options.output, label, "Thinned fusion", setting, rows)


if __name__ == "__main__":
    main()
