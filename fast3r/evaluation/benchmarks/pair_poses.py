"""Camera poses of random frames, compared pair by pair, as on CO3Dv2 and RealEstate10K."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fast3r.data.config import Shape
from fast3r.data.dataset import PosedScenes
from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Answer
from fast3r.evaluation.benchmarks.frame_choice import at_size, random_frames
from fast3r.evaluation.figures import predicted_poses, true_poses
from fast3r.evaluation.metrics.poses import (
    binned_area_under_curve,
    pose_score,
    relative_pose_errors,
)

MAA_30 = "mAA(30) % of 31 bins"
AUC_30_BINNED = "AUC@30 % of 1 deg bins"

SEED = 0
"""Of the choice of frames."""


@dataclass(frozen=True)
class PairPoses:
    """Random frames of each scene, and the relative poses of all pairs of them."""

    dataset: PosedScenes
    """Where the frames come from."""

    name: str
    """Name in reports and of its folder of results."""

    views: int
    """Photos of a case."""

    source: str
    """Which scenes these are, for the protocol."""

    cases: Sequence[str]
    """The scenes, see `scenes_with`."""

    shape: Shape | None = None
    """Size that photos are cut and scaled to; None leaves them as they are."""

    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Figures of papers."""

    columns: Sequence[str] = (
        "AUC@30 %",
        MAA_30,
        AUC_30_BINNED,
        *(f"RRA@{limit} %" for limit in (5, 15, 30)),
        *(f"RTA@{limit} %" for limit in (5, 15, 30)),
        *(f"AUC@{limit} %" for limit in (3, 5, 10, 20)),
        "registered %",
    )
    """Of the table."""

    @property
    def protocol(self) -> str:
        """Which frames, how they are cut, and what the figures mean."""
        size = "as they are"
        if self.shape is not None:
            size = f"cut around the principal point and scaled to {self.shape}, turned for portrait"
        return (
            f"{self.source}: {len(self.cases)} of {len(self.dataset.scenes)} have enough frames. "
            f"{self.views} random frames of each, chosen by the SHA-256 of `{SEED}/scene/frame` "
            f"and kept in order of capture; photos {size}. All pairs of photos are compared: "
            "RRA@t and RTA@t are the shares whose relative rotation, and direction of translation "
            "without regard to its sign, is less than t degrees off. AUC@t is the exact area under "
            "the recall of the larger error up to t degrees. The same area from a histogram is "
            f"'{MAA_30}' as the Fast3R paper counts it and '{AUC_30_BINNED}' as PoseDiffusion, "
            "VGGT and Pi3 do; both are higher by about half a bin. A pair with a photo without "
            "pose counts as wrong. Figures are means over scenes."
        )

    def frames(self, case: str) -> Sequence[Frame]:
        """Return the photos of a scene.

        Raises:
            BrokenFrameError: One cannot be used.
        """
        names = random_frames(self.dataset.frames(case), self.views, scene=case, seed=SEED)
        return [at_size(self.dataset.read(case, name), self.shape) for name in names]

    def score(self, frames: Sequence[Frame], answer: Answer) -> Mapping[str, float]:
        """Return the figures of one scene."""
        poses = predicted_poses(answer)
        errors = relative_pose_errors(poses, true_poses(frames))
        score = pose_score(*errors)
        shares = (
            score.auc30,
            binned_area_under_curve(*errors, 30, variant="fast3r"),
            binned_area_under_curve(*errors, 30, variant="vggt"),
            *(score.rra5, score.rra15, score.rra30),
            *(score.rta5, score.rta15, score.rta30),
            *(score.auc3, score.auc5, score.auc10, score.auc20),
            sum(pose is not None for pose in poses) / len(poses),
        )
        return {name: 100 * share for name, share in zip(self.columns, shares, strict=True)}

    def failure(self, frames: Sequence[Frame]) -> Mapping[str, float]:
        """Return the figures of a scene without an answer: all 0."""
        return dict.fromkeys(self.columns, 0.0)


def scenes_with(dataset: PosedScenes, frames: int) -> Sequence[str]:
    """Return the scenes that have so many frames.

    Raises:
        ValueError: None has.
    """
    cases = [scene for scene in dataset.scenes if len(dataset.frames(scene)) >= frames]
    if not cases:
        raise ValueError(
            f"none of the {len(dataset.scenes)} scenes in {dataset.root} has {frames} frames; "
            f"{dataset.scenes[0]} has {len(dataset.frames(dataset.scenes[0]))}"
        )
    return cases
