"""A quick look over a whole scene, before any of it is drawn: where it lies and how sure it is."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fast3r.export.framing import Framing, framing
from fast3r.scene.point_cloud import PointCloud, concatenate
from fast3r.scene.reconstruction import Head, Reconstruction
from fast3r.viz.colormaps import middle_range
from fast3r.viz.viewer.crowding import Crowd
from fast3r.viz.viewer.stock import even_order

_SAMPLE_POINTS = 100_000
_LEAST_PER_VIEW = 200


@dataclass(frozen=True)
class Survey:
    """What a sample of all views tells."""

    cloud: PointCloud
    """The surer half of the sample; its colours mean nothing."""

    frame: Framing
    """How the scene lies in its world."""

    upright: Float[Tensor, "3 3"]
    """Rows are right, forward and up, in the world."""

    extent: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Corners of the box, along those axes and relative to the centre, that holds nearly all."""

    sureness: list[float]
    """Median confidence of each registered view."""

    confidence_range: tuple[float, float]
    """Between these lie the middle 96 % of confidences."""

    height_range: tuple[float, float]
    """Between these lie the middle 96 % of heights above the centre."""

    density: list[float]
    """Which share of each registered view's pixels the sample holds."""

    crowd: Crowd
    """Counts the sample."""

    def local(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Return how far points are to the right of, before and above the centre."""
        return (points - self.frame.centre.float()) @ self.upright.mT

    def world(self, local: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Return the points that `local` puts there."""
        return local @ self.upright + self.frame.centre.float()


def survey(scene: Reconstruction) -> Survey:
    """Return what a sample of all views tells; photos are not decoded for it.

    Raises:
        ValueError: No view has a camera, or none has points.
    """
    samples = _samples(scene)
    confidences = _confidences(scene, samples, "local")
    sureness = _medians(confidences)
    clouds = [
        _cloud(scene, i, pixels[values >= median])
        for (i, pixels), values, median in zip(samples.items(), confidences, sureness, strict=True)
    ]
    cloud = concatenate(clouds)
    frame = framing(scene, cloud)
    upright = _upright(frame)
    local = (cloud.points - frame.centre.float()) @ upright.mT
    low, high = local.quantile(torch.tensor([0.005, 0.995]), dim=0)
    room = 0.05 * (high - low)
    extent = (_corner(low - room), _corner(high + room))
    limits = _middle_range(confidences)
    heights = _middle_range([local[:, 2]])
    density = [len(c) / scene.depth[i].numel() for i, c in zip(samples, clouds, strict=True)]
    crowd = Crowd(cloud.points, frame.radius)
    return Survey(cloud, frame, upright, extent, sureness, limits, heights, density, crowd)


def judged_by(known: Survey, scene: Reconstruction, head: Head) -> Survey:
    """Return a survey of the same place with the confidences of a head.

    Raises:
        ValueError: The pointmaps of the world head were not kept.
    """
    confidences = _confidences(scene, _samples(scene), head)
    limits = _middle_range(confidences)
    return replace(known, sureness=_medians(confidences), confidence_range=limits)


def _samples(scene: Reconstruction) -> dict[int, Int64[Tensor, " points"]]:
    """Return evenly spread pixels with depth of each registered view."""
    posed = scene.posed_views()
    per_view = max(_SAMPLE_POINTS // len(posed), _LEAST_PER_VIEW)
    samples = {}
    for i, _, _ in posed:
        pixels = even_order(*scene.depth[i].shape)[:per_view]
        depth = scene.depth[i].flatten()[pixels]
        samples[i] = pixels[depth.isfinite() & (depth > 0)]
    return samples


def _confidences(
    scene: Reconstruction, samples: dict[int, Int64[Tensor, " points"]], head: Head
) -> list[Float[Tensor, " _points"]]:
    found = [scene.confidence_of(i, head=head).flatten()[p] for i, p in samples.items()]
    return [values.float().nan_to_num(1.0) for values in found]


def _medians(confidences: list[Float[Tensor, " _points"]]) -> list[float]:
    return [values.median().item() if len(values) else 1.0 for values in confidences]


def _middle_range(values: list[Float[Tensor, " _points"]]) -> tuple[float, float]:
    low, high = middle_range(torch.cat(values))
    return low, max(high, low + 1e-3 * abs(low) + 1e-9)


def _corner(local: Float[Tensor, "3"]) -> tuple[float, float, float]:
    x, y, z = local.tolist()
    return x, y, z


def _cloud(scene: Reconstruction, index: int, pixels: Int64[Tensor, " points"]) -> PointCloud:
    return PointCloud(
        points=scene.points_at(index, pixels),
        colors=torch.zeros(len(pixels), 3, dtype=torch.uint8),
        confidence=scene.confidence[index].flatten()[pixels].float(),
        view_index=torch.full((len(pixels),), index),
        pixel=scene.original_pixels(index, pixels).float(),
    )


def _upright(frame: Framing) -> Float[Tensor, "3 3"]:
    """Return the axes right, forward and up; right is the world's x axis as far as it is level."""
    toward = torch.eye(3, dtype=frame.up.dtype)[0 if frame.up[0].abs() < 0.9 else 2]
    right = torch.nn.functional.normalize(toward - (toward @ frame.up) * frame.up, dim=0)
    forward = torch.linalg.cross(frame.up, right)
    return torch.stack((right, forward, frame.up)).float()
