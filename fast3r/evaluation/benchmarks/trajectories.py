"""Camera paths of videos: TUM RGB-D with people in motion, and ScanNet."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fast3r.data.dataset import PosedScenes
from fast3r.data.datasets.scannet import ScanNet
from fast3r.data.datasets.tum import Tum
from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Answer, Benchmark
from fast3r.evaluation.figures import predicted_poses, true_poses
from fast3r.evaluation.metrics.trajectories import trajectory_errors

_FRAMES, _STEP = 90, 3
"""Of MonST3R and those after it (LEAP-VO's choice)."""

_DYNAMIC = re.compile(r".*freiburg3_(sitting|walking)_(static|xyz|halfsphere|rpy)$")
_TEST_SCENES = re.compile(r"scene0(70[7-9]|7[1-9]\d|80[0-6])_00$")


@dataclass(frozen=True)
class Trajectories:
    """The beginnings of videos, and the path of the camera in them."""

    dataset: PosedScenes
    """Where the frames come from."""

    name: str
    """Name in reports and of its folder of results."""

    source: str
    """Which videos these are, for the protocol."""

    cases: Sequence[str]
    """The videos."""

    published: Mapping[str, Mapping[str, float]]
    """Figures of papers."""

    columns: Sequence[str] = ("ATE m", "RPE m", "RPE deg", "registered %")
    """Of the table."""

    @property
    def protocol(self) -> str:
        """Which frames, and what the figures mean."""
        return (
            f"{self.source}. The first {_FRAMES} of every {_STEP}rd frame with a pose, in order, "
            "photos as they are. ATE is the root mean square distance of camera centres after a "
            "similarity of least squares (Umeyama), RPE that of the steps from frame to frame "
            "after the same scale, in metres and degrees. Frames without a predicted pose do not "
            "count in these: see what share is registered. Figures are means over videos."
        )

    def frames(self, case: str) -> Sequence[Frame]:
        """Return the photos of a video.

        Raises:
            BrokenFrameError: One cannot be used.
        """
        names = self.dataset.frames(case)[::_STEP][:_FRAMES]
        return [self.dataset.read(case, name) for name in names]

    def score(self, frames: Sequence[Frame], answer: Answer) -> Mapping[str, float]:
        """Return the figures of one video."""
        errors = trajectory_errors(predicted_poses(answer), true_poses(frames))
        registered = 100 * errors.registered / len(frames)
        figures = (errors.ate, errors.rpe_translation, errors.rpe_rotation_deg, registered)
        return dict(zip(self.columns, figures, strict=True))

    def failure(self, frames: Sequence[Frame]) -> Mapping[str, float]:
        """Return the figures of a video without an answer; distances have no worst value."""
        return dict(zip(self.columns, (np.nan, np.nan, np.nan, 0.0), strict=True))


def open_tum(root: Path) -> Benchmark:
    """Return the benchmark on the eight dynamic sequences of TUM RGB-D.

    Raises:
        ValueError: The root is laid out differently, or has none of them.
    """
    dataset = Tum(root)
    return Trajectories(
        dataset=dataset,
        name="tum-dynamics",
        source="TUM RGB-D, sequences freiburg3_{sitting,walking}_{static,xyz,halfsphere,rpy}",
        cases=_matching(dataset, _DYNAMIC, "rgbd_dataset_freiburg3_walking_xyz"),
        published={
            "Fast3R (Pi3 paper †)": {"ATE m": 0.090, "RPE m": 0.101, "RPE deg": 1.425},
            "VGGT (Pi3 paper †)": {"ATE m": 0.012},
            "Pi3 (Pi3 paper †)": {"ATE m": 0.014},
        },
    )


def open_scannet(root: Path) -> Benchmark:
    """Return the benchmark on the hundred test scenes of ScanNet.

    Raises:
        ValueError: The root is laid out differently, or has none of them.
    """
    dataset = ScanNet(root)
    return Trajectories(
        dataset=dataset,
        name="scannet-trajectories",
        source="ScanNet, the test scenes scene0707_00 to scene0806_00",
        cases=_matching(dataset, _TEST_SCENES, "scene0707_00"),
        published={},
    )


def _matching(dataset: PosedScenes, pattern: re.Pattern[str], example: str) -> Sequence[str]:
    cases = [scene for scene in dataset.scenes if pattern.match(scene)]
    if not cases:
        raise ValueError(
            f"{dataset.root} has {len(dataset.scenes)} scenes such as {dataset.scenes[0]}, "
            f"none of the benchmark's, such as {example}"
        )
    return cases
