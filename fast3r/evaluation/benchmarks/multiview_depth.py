"""Depth of a photo among others: the Robust Multi-view Depth Benchmark (3DV 2022)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from fast3r.data.config import Shape
from fast3r.data.dataset import PosedScenes
from fast3r.data.datasets.dtu import Dtu
from fast3r.data.datasets.eth3d import Eth3d
from fast3r.data.datasets.robustmvd import RobustMvd, RobustMvdSet
from fast3r.data.datasets.scannet import ScanNet
from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Answer, Benchmark
from fast3r.evaluation.benchmarks.frame_choice import at_size, middle_frame
from fast3r.evaluation.metrics.depth import score_depth
from fast3r.evaluation.resampling import on_photo, pixels_answered

Sample = tuple[str, Sequence[str]]
"""A scene and the frames that are photos, the key view first."""

_SOURCES = 10
"""Photos beside the key view on DTU and ETH3D."""

_MAX_TURN_DEG = 60.0
"""Cameras turned further than this from the key view hardly see what it sees."""

_SCANNET_STEP = 10
"""Frames from one photo to the next."""

_PUBLISHED = {
    "eth3d": {"MUSt3R_512 (naver/must3r evals.md)": {"AbsRel %": 2.09, "inliers@1.03 %": 84.0}},
    "dtu": {"MUSt3R_512 (naver/must3r evals.md)": {"AbsRel %": 3.25, "inliers@1.03 %": 71.0}},
    "scannet": {"MUSt3R_512 (naver/must3r evals.md)": {"AbsRel %": 3.34, "inliers@1.03 %": 68.5}},
    "tanks_and_temples": {
        "MUSt3R_512 (naver/must3r evals.md)": {"AbsRel %": 2.47, "inliers@1.03 %": 81.8}
    },
}


@dataclass(frozen=True)
class MultiViewDepth:
    """The depth of key views, after each was scaled by its median."""

    dataset: PosedScenes
    """Where the frames come from."""

    name: str
    """Name in reports and of its folder of results."""

    source: str
    """Which samples these are, for the protocol."""

    cases: Sequence[str]
    """The samples."""

    sample: Callable[[str], Sample]
    """Returns what a case consists of."""

    published: Mapping[str, Mapping[str, float]]
    """Figures of papers."""

    shape: Shape | None = None
    """Size that photos are cut and scaled to; None leaves them as they are."""

    columns: Sequence[str] = ("AbsRel %", "inliers@1.03 %", "answered %")
    """Of the table."""

    @property
    def protocol(self) -> str:
        """Which frames, and what the figures mean."""
        size = "as they are" if self.shape is None else f"cut and scaled to {self.shape}"
        return (
            f"{self.source}. The key view comes first, all photos go in at once, {size}; poses "
            "and intrinsics are not given. The depth of the key view is scaled by the ratio of "
            "medians, over pixels whose depth is known in both. AbsRel is the mean of |error| / "
            "truth; inliers are off by a factor below 1.03. Pixels that a method leaves unknown "
            "count as an error of 100 %, those it cuts off do not count: see what share is "
            "answered. RobustMVD itself tries growing sets of source views and keeps the best. "
            "Figures are means over samples."
        )

    def frames(self, case: str) -> Sequence[Frame]:
        """Return the photos of a sample, the key view first.

        Raises:
            BrokenFrameError: One cannot be used.
        """
        scene, names = self.sample(case)
        return [at_size(self.dataset.read(scene, name), self.shape) for name in names]

    def score(self, frames: Sequence[Frame], answer: Answer) -> Mapping[str, float]:
        """Return the figures of one sample; nan if the key view has no true depth."""
        truth, dense = frames[0].depth, answer.dense[0]
        if truth is None:
            return dict.fromkeys(self.columns, np.nan)
        if dense is None:
            return self.failure(frames)
        answered = pixels_answered(dense, *truth.shape)
        counted = torch.from_numpy(np.where(answered, truth, 0)).double()
        predicted = torch.from_numpy(on_photo(dense, *truth.shape).depth).double()
        (errors,) = score_depth([predicted], [counted])
        share = answered[truth > 0].mean().item()
        figures = (100 * errors.abs_rel, 100 * errors.delta_103, 100 * share)
        return dict(zip(self.columns, figures, strict=True))

    def failure(self, frames: Sequence[Frame]) -> Mapping[str, float]:
        """Return the figures of a sample without an answer: everything counts as depth 0."""
        return dict(zip(self.columns, (100.0, 0.0, 0.0), strict=True))


def open_eth3d(root: Path, *, variant: str) -> Benchmark:
    """Return the benchmark on ETH3D: RobustMVD's samples, or with `spread` ours of the download.

    Raises:
        ValueError: The root is laid out differently.
    """
    size = Shape(1024, 1536)
    if variant == "robustmvd":
        return _listed(root, "eth3d", size)
    dataset = Eth3d(root)
    rule = "8 key views of each scene, evenly spread by name; the 10 nearest cameras that are "
    rule += f"turned less than {_MAX_TURN_DEG:g} degrees from the key view"

    def nearest(scene: str, names: Sequence[str], key: str) -> Sequence[str]:
        return nearest_cameras({n: dataset.pose(scene, n) for n in names}, key, _SOURCES)

    return _spread("eth3d", dataset, rule, nearest, keys=8, shape=size)


def open_dtu(root: Path, *, variant: str) -> Benchmark:
    """Return the benchmark on DTU: RobustMVD's samples, or with `spread` ours of MVSNet's set.

    Raises:
        ValueError: The root is laid out differently.
    """
    if variant == "robustmvd":
        return _listed(root, "dtu")
    dataset = Dtu(root)
    rule = "5 key views of each scan, evenly spread; 10 others by MVSNet's pair.txt"

    def overlapping(scene: str, _: Sequence[str], key: str) -> Sequence[str]:
        return dataset.overlapping(scene, key)[:_SOURCES]

    return _spread("dtu", dataset, rule, overlapping, keys=5)


def open_scannet(root: Path, *, variant: str) -> Benchmark:
    """Return the benchmark on ScanNet: RobustMVD's samples, or with `spread` ours of any scenes.

    Raises:
        ValueError: The root is laid out differently.
    """
    if variant == "robustmvd":
        return _listed(root, "scannet")
    dataset = ScanNet(root)
    rule = f"2 key views of each scene, evenly spread; 3 photos before and 4 after, {_SCANNET_STEP}"
    rule += " frames apart, as far as the video goes"

    def around(_: str, names: Sequence[str], key: str) -> Sequence[str]:
        place = names.index(key)
        steps = (place + _SCANNET_STEP * step for step in (-3, -2, -1, 1, 2, 3, 4))
        return [names[step] for step in steps if 0 <= step < len(names)]

    return _spread("scannet", dataset, rule, around, keys=2)


def open_tanks_and_temples(root: Path) -> Benchmark:
    """Return the benchmark on RobustMVD's samples of Tanks and Temples.

    Raises:
        ValueError: The root is laid out differently.
    """
    return _listed(root, "tanks_and_temples")


def _listed(root: Path, test_set: RobustMvdSet, shape: Shape | None = None) -> Benchmark:
    dataset = RobustMvd(root, test_set)
    return MultiViewDepth(
        dataset=dataset,
        name=f"{test_set.replace('_', '-')}-depth-robustmvd",
        source=f"The {len(dataset.scenes)} samples of RobustMVD's {test_set}",
        cases=dataset.scenes,
        sample=lambda case: (case, dataset.frames(case)),
        published=_PUBLISHED[test_set],
        shape=shape,
    )


def _spread(
    name: str,
    dataset: PosedScenes,
    rule: str,
    sources: Callable[[str, Sequence[str], str], Sequence[str]],
    *,
    keys: int,
    shape: Shape | None = None,
) -> Benchmark:
    cases = [f"{scene}/{place}" for scene in dataset.scenes for place in range(keys)]

    def sample(case: str) -> Sample:
        scene, place = case.rsplit("/", 1)
        names = dataset.frames(scene)
        key = middle_frame(names, int(place), keys)
        return scene, [key, *sources(scene, names, key)]

    return MultiViewDepth(
        dataset=dataset,
        name=f"{name}-depth-spread",
        source=f"{rule} ({len(cases)} samples; those of RobustMVD are others)",
        cases=cases,
        sample=sample,
        published={},
        shape=shape,
    )


def nearest_cameras(
    poses: Mapping[str, Float[np.ndarray, "4 4"]], key: str, count: int
) -> Sequence[str]:
    """Return up to `count` frames whose cameras are nearest to that of a key view, nearest first.

    Args:
        poses: world_from_camera by the name of the frame.
        key: Frame of the key view.
        count: At most so many; cameras that look elsewhere do not count.
    """
    centre, axis = poses[key][:3, 3], poses[key][:3, 2]
    limit = np.cos(np.radians(_MAX_TURN_DEG))
    facing = [name for name in poses if name != key and poses[name][:3, 2] @ axis > limit]
    distance = {name: float(np.linalg.norm(poses[name][:3, 3] - centre)) for name in facing}
    return sorted(facing, key=lambda name: (distance[name], name))[:count]
