"""How well a model does on held-out procedural scenes, beside the trivial answers.

    python -m fast3r.evaluation.procedural --model small --scenes 100 --views 2 4 8

Poses come from `reconstruct`, as a user gets them; a view without a pose counts as wrong.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.generate import generate
from fast3r.data.sample import Sample, frame_points
from fast3r.evaluation.metrics import (
    PoseScore,
    depth_error,
    pointmap_error,
    pose_score,
    relative_pose_errors,
    trivial_poses,
)
from fast3r.geometry.transforms import fit_similarity
from fast3r.models.checkpoints import load_model, model_hash
from fast3r.models.fast3r import Fast3R
from fast3r.models.prediction import Prediction
from fast3r.scene.run import reconstruct
from fast3r.views.view import View

HELD_OUT_SEED = 1_000_000_000
"""Scenes from this seed on are never trained on."""


@dataclass(frozen=True)
class Score:
    """One method on one number of views."""

    method: str
    """Who made the prediction."""

    views: int
    """Views of a scene."""

    scenes: int
    """Scenes that the figures are means of."""

    depth_abs_rel: float
    """Relative error of the depth, each view scaled by its median."""

    world_error: float
    """Error of the points in the frame of the first view, over their mean distance."""

    poses: PoseScore
    """Over all pairs of all scenes."""


def held_out(*, scenes: int, views: int, size: tuple[int, int], difficulty: float = 1.0) -> Sample:
    """Return scenes that no training run sees."""
    return generate(
        ProceduralConfig(),
        batch=scenes,
        views=views,
        height=size[0],
        width=size[1],
        seed=HELD_OUT_SEED + views,
        difficulty=difficulty,
    )


def quick_score(model: Fast3R, *, scenes: int = 32, size: tuple[int, int] = (72, 96)) -> PoseScore:
    """Return pose figures quick enough to be taken during training: rigid fits, four views."""
    sample = held_out(scenes=scenes, views=4, size=size, difficulty=0.7)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        poses = rigid_poses(model(sample.images)).cpu()
    model.train(was_training)
    pairs = zip(poses, sample.world_from_camera.cpu(), strict=True)
    return _pooled([relative_pose_errors(list(made), true) for made, true in pairs])


def rigid_poses(predictions: list[Prediction]) -> Float[Tensor, "batch views 4 4"]:
    """Return world_from_camera by one weighted similarity fit a view, without robustness."""
    poses = []
    for prediction in predictions:
        assert prediction.local is not None
        local, world = prediction.local, prediction.world
        weights = (local.confidence * world.confidence).flatten(1).float()
        found = fit_similarity(
            local.points.flatten(1, 2).float(), world.points.flatten(1, 2).float(), weights
        )
        pose = torch.eye(4, device=weights.device).repeat(len(weights), 1, 1)
        pose[:, :3, :3], pose[:, :3, 3] = found.rotation, found.translation
        poses.append(pose)
    return torch.stack(poses, dim=1)


def evaluate(
    model: Fast3R, *, scenes: int, views: int, size: tuple[int, int], difficulty: float
) -> list[Score]:
    """Return the scores of the model and of the trivial answers on the same scenes.

    The trivial answers: every pixel at the mean depth of its view; every camera at the first one,
    with the true local pointmap; no rotation and a step along x.
    """
    sample = held_out(scenes=scenes, views=views, size=size, difficulty=difficulty)
    made: list[_Errors] = []
    trivial: list[_Errors] = []
    for scene in range(scenes):
        truth = _SceneTruth(sample, scene)
        with torch.inference_mode():
            predictions = model(sample.images[scene : scene + 1].to(model.device))
        world = torch.stack([p.world.points[0].cpu() for p in predictions])
        depth = [(p.local or p.world).points[0, ..., 2].cpu() for p in predictions]
        cameras = reconstruct(_views(sample, scene), model).cameras
        poses = [None if c is None else c.world_from_camera.cpu() for c in cameras]
        made.append(truth.errors(world, depth, poses))
        flat = [torch.ones_like(d) for d in truth.depth]
        trivial.append(truth.errors(truth.local, flat, list(trivial_poses(views))))
    return [_score("model", views, made), _score("trivial", views, trivial)]


@dataclass(frozen=True)
class _Errors:
    depth: float
    world: float
    rotation_deg: Tensor
    translation_deg: Tensor


class _SceneTruth:
    """What is true of one scene of a sample."""

    def __init__(self, sample: Sample, scene: int) -> None:
        self.valid = sample.valid[scene]
        self.poses = sample.world_from_camera[scene]
        points, poses = sample.points[scene : scene + 1], self.poses[None]
        self.world = frame_points(points, poses[:, :1])[0]
        self.local = frame_points(points, poses)[0]
        self.depth = self.local[..., 2]

    def errors(
        self, world: Tensor, depth: list[Tensor], poses: list[Tensor] | list[Tensor | None]
    ) -> _Errors:
        views = zip(depth, self.depth, self.valid, strict=True)
        by_view = [depth_error(made, true, valid) for made, true, valid in views if valid.any()]
        rotation_deg, translation_deg = relative_pose_errors(poses, self.poses)
        return _Errors(
            sum(by_view) / len(by_view),
            pointmap_error(world, self.world, self.valid),
            rotation_deg,
            translation_deg,
        )


def _views(sample: Sample, scene: int) -> list[View]:
    images = (sample.images[scene].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).cpu()
    return [
        View(
            pixels=pixels,
            original_from_network=torch.eye(3),
            name=f"{index:03}.png",
            original_height=pixels.shape[0],
            original_width=pixels.shape[1],
        )
        for index, pixels in enumerate(images)
    ]


def _pooled(errors: list[tuple[Tensor, Tensor]]) -> PoseScore:
    return pose_score(torch.cat([e[0] for e in errors]), torch.cat([e[1] for e in errors]))


def _score(method: str, views: int, errors: list[_Errors]) -> Score:
    return Score(
        method=method,
        views=views,
        scenes=len(errors),
        depth_abs_rel=sum(e.depth for e in errors) / len(errors),
        world_error=sum(e.world for e in errors) / len(errors),
        poses=_pooled([(e.rotation_deg, e.translation_deg) for e in errors]),
    )


def table(scores: list[Score]) -> str:
    """Return the scores as Markdown."""
    lines = [
        "| views | method | depth AbsRel | world error | RRA@15 | RTA@15 | AUC@30 | rotation |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for s in scores:
        p = s.poses
        lines.append(
            f"| {s.views} | {s.method} | {s.depth_abs_rel:.3f} | {s.world_error:.3f} "
            f"| {p.rra15:.1%} | {p.rta15:.1%} | {100 * p.auc30:.1f} | {p.rotation_deg:.1f}° |"
        )
    return "\n".join(lines)


def main() -> None:
    """Evaluate a model and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="small")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--views", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128), help="height width")
    parser.add_argument("--difficulty", type=float, default=0.7)
    parser.add_argument("--output", type=Path, help="JSON file")
    options = parser.parse_args()
    model = load_model(options.model)
    scores: list[Score] = []
    for views in options.views:
        scores += evaluate(
            model,
            scenes=options.scenes,
            views=views,
            size=tuple(options.size),
            difficulty=options.difficulty,
        )
    print(table(scores))
    if options.output:
        report = {
            "model": options.model,
            "hash": model_hash(model),
            "size": list(options.size),
            "difficulty": options.difficulty,
            "scores": [asdict(score) for score in scores],
        }
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
