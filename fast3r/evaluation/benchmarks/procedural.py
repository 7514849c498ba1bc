"""Held-out procedural scenes: exact truth, without any download."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float

from fast3r.data.frame import Frame
from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.generate import generate
from fast3r.data.sample import Sample, frame_points
from fast3r.evaluation.alignment import align_points
from fast3r.evaluation.benchmark import Answer, Benchmark
from fast3r.evaluation.figures import (
    CAMERA_COLUMNS,
    CAMERA_PROTOCOL,
    camera_failure,
    camera_figures,
)
from fast3r.evaluation.metrics.depth import score_depth
from fast3r.evaluation.resampling import on_photo
from fast3r.geometry.cameras import unproject

HELD_OUT_SEED = 1_000_000_000
"""Scenes from this seed on are never trained on."""

EDITION = 1
"""Raised with every change of the generator that changes the photos, so that results of different
photos are never compared; a test tells when."""

_CASES = 100
_NEXT_SEED = 1_000_000
_MIN_STEP_M = 1e-3
_DIFFICULTY = 0.7
_SIZES = {"128px": (96, 128), "512px": (384, 512)}


class Procedural:
    """Photos of rooms, streets and tables that nobody has trained on."""

    columns: Sequence[str] = (*CAMERA_COLUMNS, "depth AbsRel", "point error %")
    """Of the table."""

    published: Mapping[str, Mapping[str, float]] = {}
    """No paper has these scenes."""

    def __init__(self, *, views: int, height: int, width: int, cases: int = _CASES) -> None:
        """Choose the photos.

        Args:
            views: Of a case.
            height: Of a photo, in pixels.
            width: Of a photo, in pixels.
            cases: Scenes.
        """
        self._views, self._height, self._width = views, height, width
        self.cases: Sequence[str] = [f"scene-{index:03}" for index in range(cases)]

    @property
    def name(self) -> str:
        """Name in reports and of its folder of results."""
        return f"procedural-{self._width}px-{self._views}-views"

    @property
    def protocol(self) -> str:
        """Which scenes, and what the figures mean."""
        return (
            f"{len(self.cases)} held-out procedural scenes, {self._views} photos of "
            f"{self._width}x{self._height} px each, edition {EDITION}, seeds {HELD_OUT_SEED} + k, "
            f"or {_NEXT_SEED} more where two photos are from one place, difficulty {_DIFFICULTY}. "
            f"{CAMERA_PROTOCOL} AbsRel is the mean relative error of depth, each photo scaled by "
            "its median; pixels without depth count as 1. The point error is the mean distance of "
            "the points from their true places, after one similarity fitted by least squares to "
            "all of them, in percent of the root mean square distance of the true points from "
            "their mean; pixels without a point do not count."
        )

    def frames(self, case: str) -> Sequence[Frame]:
        """Return the photos of a scene."""
        first = HELD_OUT_SEED + self.cases.index(case)
        seeds = itertools.count(first, _NEXT_SEED)
        return frames_of(next(s for s in map(self._photographed, seeds) if _moves(s)))

    def _photographed(self, seed: int) -> Sample:
        return generate(
            ProceduralConfig(),
            batch=1,
            views=self._views,
            height=self._height,
            width=self._width,
            seed=seed,
            difficulty=_DIFFICULTY,
        )

    def score(self, frames: Sequence[Frame], answer: Answer) -> Mapping[str, float]:
        """Return the figures of one scene."""
        return {
            **camera_figures(frames, answer),
            "depth AbsRel": _depth_error(frames, answer),
            "point error %": 100 * _point_error(frames, answer),
        }

    def failure(self, frames: Sequence[Frame]) -> Mapping[str, float]:
        """Return the figures of a scene without an answer."""
        return {**camera_failure(), "depth AbsRel": 1.0, "point error %": float("nan")}


def open_benchmark(*, views: int, variant: str) -> Benchmark:
    """Return the benchmark with photos of the size that `variant` names."""
    height, width = _SIZES[variant]
    return Procedural(views=views, height=height, width=width)


def _moves(sample: Sample) -> bool:
    """Return whether no two photos were taken from one place, as they are where nowhere is free.

    There is no direction from one to the other that a method could find.
    """
    centres = sample.world_from_camera[0, :, :3, 3]
    return bool((torch.pdist(centres) > _MIN_STEP_M).all())


def frames_of(sample: Sample) -> list[Frame]:
    """Return the views of the only scene of a sample."""
    local = frame_points(sample.points, sample.world_from_camera)[0]
    depth = local[..., 2].where(sample.valid[0], 0)
    images = (sample.images[0].permute(0, 2, 3, 1) * 255).round().to(torch.uint8)
    return [
        Frame(
            name=f"{view:03}",
            image=images[view].numpy(),
            depth=depth[view].numpy(),
            intrinsics=sample.intrinsics[0, view].double().numpy(),
            world_from_camera=sample.world_from_camera[0, view].double().numpy(),
        )
        for view in range(len(images))
    ]


def _depth_error(frames: Sequence[Frame], answer: Answer) -> float:
    """Return the mean AbsRel; nan if the method makes no depth at all."""
    if all(dense is None for dense in answer.dense):
        return float("nan")
    made, true = [], []
    for frame, dense in zip(frames, answer.dense, strict=True):
        assert frame.depth is not None
        truth = torch.from_numpy(frame.depth)
        true.append(truth)
        if dense is None:
            made.append(torch.zeros_like(truth))
        else:
            made.append(torch.from_numpy(on_photo(dense, *truth.shape).depth).to(truth))
    errors = [error.abs_rel for error in score_depth(made, true)]
    return torch.tensor(errors, dtype=torch.float64).nanmean().item()


def _point_error(frames: Sequence[Frame], answer: Answer) -> float:
    """Return the mean distance of points after alignment; nan without enough points."""
    made, true = [np.zeros((0, 3))], [np.zeros((0, 3))]
    for frame, dense in zip(frames, answer.dense, strict=True):
        if dense is None:
            continue
        assert frame.depth is not None
        shown = on_photo(dense, *frame.depth.shape)
        both = (frame.depth > 0) & (shown.depth > 0)
        made.append(shown.points[both])
        true.append(_world_points(frame)[both])
    predicted, truth = (
        torch.from_numpy(np.concatenate(made)),
        torch.from_numpy(np.concatenate(true)),
    )
    fit = align_points(predicted, truth)
    if fit is None:
        return float("nan")
    spread = (truth - truth.mean(dim=0)).square().sum(dim=-1).mean().sqrt()
    distance = torch.linalg.vector_norm(fit(predicted.double()) - truth, dim=-1)
    return (distance.mean() / spread).item()


def _world_points(frame: Frame) -> Float[np.ndarray, "height width 3"]:
    assert frame.depth is not None
    parts = (frame.depth, frame.intrinsics, frame.world_from_camera)
    return unproject(*(torch.from_numpy(part).double() for part in parts)).numpy()
