"""Scenes whose truth is known in metres, and what a network sees of them in a unit of its own."""

from dataclasses import replace

import torch
from torch import Tensor

from fast3r.geometry.transforms import Similarity, rotation_exp
from fast3r.models.prediction import Prediction
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.run import reconstruct
from tests.scene.playback import PlayedBack, Truth, a_view, nonsense, predicted

METRES_PER_UNIT = 2.5

TRUE_FROM_NETWORK = Similarity(
    torch.tensor(METRES_PER_UNIT, dtype=torch.float64),
    rotation_exp(torch.tensor([0.4, -0.9, 0.3], dtype=torch.float64)),
    torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64),
)
"""The world that users know is not that of the network."""


def views(count: int = 4, *, focal_px: float = 560.0) -> list[Truth]:
    """Return views as the network sees them: the pose of each is in its world."""
    return [a_view(seed, 480, 640, focal_px) for seed in range(count)]


def run(truths: list[Truth], priors: Priors | None, *, lost: int | None = None) -> Reconstruction:
    """Reconstruct from perfect pointmaps, but for one view that the network got lost on."""
    predictions: list[Prediction] = [predicted(truth) for truth in truths]
    if lost is not None:
        predictions[lost] = nonsense(truths[lost].view)
    return reconstruct([t.view for t in truths], PlayedBack(predictions), priors=priors)


def in_world(truth: Truth, world: Similarity = TRUE_FROM_NETWORK) -> Tensor:
    """Return a view's true pose in the world that users know."""
    return world.moved_pose(truth.world_from_camera.double())


def pose_of(scene: Reconstruction, index: int) -> Tensor:
    return scene.camera(index).world_from_camera.double()


def disagreeing(scene: Reconstruction) -> list[str]:
    return [check.prior for check in scene.prior_checks if check.status == "disagrees"]


def assert_poses(
    scene: Reconstruction, wanted: list[Tensor], *, place: float = 0.01, turn: float = 2e-3
) -> None:
    for index, pose in enumerate(wanted):
        found = pose_of(scene, index)
        torch.testing.assert_close(found[:3, 3], pose[:3, 3], rtol=0, atol=place)
        torch.testing.assert_close(found[:3, :3], pose[:3, :3], rtol=0, atol=turn)


def metres_between(first: Truth, second: Truth) -> float:
    """Return the true distance of two cameras."""
    apart = first.world_from_camera[:3, 3] - second.world_from_camera[:3, 3]
    return METRES_PER_UNIT * apart.norm().item()


def standing(truths: list[Truth], world_from_scene: Tensor) -> list[Truth]:
    """Return views that were taken upright on a ring around a place, as people take photos.

    Args:
        truths: Views with any poses.
        world_from_scene: The rotation from the network's world to one whose z axis points up.
    """
    stood = []
    for index, truth in enumerate(truths):
        angle = torch.tensor(2.4 * index).double()
        centre = torch.stack((8 * angle.cos(), 6 * angle.sin(), (3 * angle).sin()))
        forward = torch.tensor([0.0, 0.0, 0.5]).double() - centre
        forward = forward / forward.norm()
        right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0]).double())
        right = right / right.norm()
        pose = torch.eye(4).double()
        pose[:3, :3] = torch.stack((right, torch.linalg.cross(forward, right), forward), dim=-1)
        pose[:3, 3] = centre
        scene_from_world = torch.eye(4).double()
        scene_from_world[:3, :3] = world_from_scene.mT
        stood.append(replace(truth, world_from_camera=(scene_from_world @ pose).float()))
    return stood
