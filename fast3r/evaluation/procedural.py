"""How well a model does on held-out procedural scenes, beside the trivial answers."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.data.procedural.generate import ProceduralConfig, generate
from fast3r.data.sample import Sample
from fast3r.evaluation.metrics import area_under_curve, relative_pose_errors, share_below
from fast3r.geometry.transforms import fit_similarity
from fast3r.models.fast3r import Fast3R
from fast3r.models.prediction import Prediction

HELD_OUT_SEED = 1_000_000_000
"""Scenes from this seed on are never trained on."""


@dataclass(frozen=True)
class QuickScore:
    """Poses by a rigid fit of local to world pointmaps, pooled over all pairs of views."""

    rra15: float
    """Share of pairs with a rotation error below 15 degrees."""

    rta15: float
    """Share of pairs with a translation direction error below 15 degrees."""

    auc30: float
    """Area under the recall of the larger error up to 30 degrees."""

    rotation_deg: float
    """Median rotation error."""

    identity_rra15: float
    """Share of pairs that the identity rotation gets right."""

    identity_rotation_deg: float
    """Median rotation error of the identity."""


def quick_score(
    model: Fast3R, *, scenes: int = 32, views: int = 4, size: tuple[int, int] = (96, 128)
) -> QuickScore:
    """Return pose figures on held-out scenes, quick enough to be taken during training."""
    sample = generate(
        ProceduralConfig(),
        batch=scenes,
        views=views,
        height=size[0],
        width=size[1],
        seed=HELD_OUT_SEED,
        device=model.device,
    )
    was_training = model.training
    model.eval()
    with torch.no_grad():
        predictions = model(sample.images)
    model.train(was_training)
    poses = rigid_poses(predictions)
    errors = [_errors(poses[s], sample, s) for s in range(scenes)]
    identity = torch.eye(4, device=poses.device).expand(views, 4, 4)
    trivial = torch.cat([_errors(identity, sample, s)[0] for s in range(scenes)])
    rotation_deg = torch.cat([e[0] for e in errors])
    translation_deg = torch.cat([e[1] for e in errors])
    return QuickScore(
        rra15=share_below(rotation_deg, 15),
        rta15=share_below(translation_deg, 15),
        auc30=area_under_curve(rotation_deg, translation_deg, 30),
        rotation_deg=rotation_deg.median().item(),
        identity_rra15=share_below(trivial, 15),
        identity_rotation_deg=trivial.median().item(),
    )


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


def _errors(poses: Tensor, sample: Sample, scene: int) -> tuple[Tensor, Tensor]:
    return relative_pose_errors(list(poses), sample.world_from_camera[scene])
