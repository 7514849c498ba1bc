"""What a validation measures, scene by scene, as a user would get it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from fast3r.data.sample import Sample, frame_points
from fast3r.evaluation.methods.answers import scene_of
from fast3r.evaluation.metrics.depth import score_depth
from fast3r.evaluation.metrics.focal import focal_errors
from fast3r.evaluation.metrics.poses import pose_score, relative_pose_errors
from fast3r.models.prediction import Prediction
from fast3r.training.losses import Terms
from fast3r.training.pictures import draw_scene, scene_views


@dataclass(frozen=True)
class SceneScore:
    """Errors of one scene."""

    depth_abs_rel: float
    """Relative error of the depth, each view scaled by its median."""

    focal_error: float
    """Mean of |focal / true focal - 1|; nan where no view has a camera."""

    registered: float
    """Share of views that have a camera."""

    rotation_deg: Float[Tensor, " pairs"]
    """Rotation errors of all pairs of views."""

    translation_deg: Float[Tensor, " pairs"]
    """Errors of the direction from one camera to the other."""


class Validation:
    """Adds up what is measured of samples, and draws the first scenes."""

    def __init__(self, pictures: int) -> None:
        """Begin with nothing, to draw so many scenes."""
        self.scores: list[SceneScore] = []
        self.pictures: list[dict[str, Image.Image]] = []
        self._wanted = pictures
        self._terms: list[dict[str, float]] = []

    def add(self, predictions: Sequence[Prediction], sample: Sample, terms: Terms) -> None:
        """Measure the scenes of a sample.

        Args:
            predictions: One per view, with the sample's batch axis.
            sample: The truth.
            terms: Of the loss.
        """
        values = torch.stack(list(terms.figures.values())).tolist()
        self._terms.append(dict(zip(terms.figures, values, strict=True)))
        truth = sample.to("cpu")
        for index in range(len(truth.images)):
            scene = one_scene(predictions, index)
            self.scores.append(score_scene(scene, truth, index, device=sample.images.device))
            if len(self.pictures) < self._wanted:
                self.pictures.append(draw_scene(scene, truth, index))

    def figures(self) -> dict[str, float]:
        """Return all figures: the terms are means over samples."""
        names = self._terms[0]
        terms = {name: _mean([term[name] for term in self._terms]) for name in names}
        return terms | mean_figures(self.scores)


def score_scene(
    predictions: Sequence[Prediction], truth: Sample, index: int, *, device: torch.device
) -> SceneScore:
    """Return the errors of what the code of `reconstruct` makes of predictions.

    Args:
        predictions: One per view, of batch size 1, on the host.
        truth: The sample that holds the scene, on the host.
        index: Which of its scenes.
        device: Where to look for cameras.
    """
    scene = scene_of(predictions, scene_views(truth, index), device=device)
    poses = [None if camera is None else camera.world_from_camera for camera in scene.cameras]
    intrinsics = [None if camera is None else camera.intrinsics for camera in scene.cameras]
    rotation_deg, translation_deg = relative_pose_errors(poses, truth.world_from_camera[index])
    seen = [(p.local or p.world).points[0, ..., 2] for p in predictions]
    local = frame_points(truth.points, truth.world_from_camera)[index, ..., 2]
    errors = score_depth(seen, list(local.where(truth.valid[index], 0)))
    return SceneScore(
        depth_abs_rel=_mean([error.abs_rel for error in errors]),
        focal_error=_mean(focal_errors(intrinsics, truth.intrinsics[index]).tolist()),
        registered=len(scene.registered) / len(scene.views),
        rotation_deg=rotation_deg,
        translation_deg=translation_deg,
    )


def one_scene(predictions: Sequence[Prediction], index: int) -> list[Prediction]:
    """Return the predictions for one scene of a batch, on the host."""
    at = slice(index, index + 1)
    return [p.mapped(lambda part: part[at].float().cpu()) for p in predictions]


def mean_figures(scores: Sequence[SceneScore]) -> dict[str, float]:
    """Return the means over scenes, and poses over all pairs of all scenes."""
    names = ("depth_abs_rel", "focal_error", "registered")
    means = {name: _mean([getattr(score, name) for score in scores]) for name in names}
    poses = pose_score(
        torch.cat([score.rotation_deg for score in scores]),
        torch.cat([score.translation_deg for score in scores]),
    )
    for name in ("rra15", "rta15", "auc30", "rotation_deg"):
        means[name] = getattr(poses, name)
    return means


def _mean(values: Sequence[float]) -> float:
    """Return the mean of those that are known."""
    return torch.tensor(values, dtype=torch.float64).nanmean().item()
