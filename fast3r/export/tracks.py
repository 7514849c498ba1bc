"""Multi-view tracks for points that came from depth maps: who else sees each point, and where."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fast3r.geometry.cameras import Camera, invert_rigid, project
from fast3r.geometry.lenses import photo_from_ideal
from fast3r.scene.point_cloud import Cloud, PointCloud, concatenate, parts_of
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.photos import network_pixels

_DEPTH_TOLERANCE = 0.03
"""A point is hidden where the depth map differs from its depth by more than this share."""

MAX_SIGHTINGS = 2_000_000
"""Of all points in all views: 20 for each point of a COLMAP model of the usual size."""


@dataclass(frozen=True)
class Sighting:
    """The points that one view sees."""

    point_index: Int64[Tensor, " observations"]
    """Into the point cloud, ascending."""

    xy: Float[Tensor, "observations 2"]
    """In pixels of the original photo, pixel centres at +0.5, float64."""

    error_px: Float[Tensor, " observations"]
    """Distance from the projection of the point, float64."""


def surest_of_each_view(cloud: Cloud, count: int) -> PointCloud:
    """Return at most `count` points: equal shares of each view, drawn by confidence.

    Drawing instead of taking the best keeps the points spread over the photo. The draw is that
    of Efraimidis and Spirakis (2006): largest u^(1/confidence) with u uniform in (0, 1).
    """
    generator = torch.Generator().manual_seed(0)
    drawn: list[PointCloud] = []
    logs: list[Tensor] = []
    for part in parts_of(cloud):
        uniform = torch.rand(len(part), generator=generator, dtype=torch.float64)
        drawn.append(part)
        logs.append(uniform.log() / part.confidence.double())
        if sum(map(len, logs)) > 2 * count:
            # The shares of views only shrink as more come, so nothing is missed later.
            drawn, logs = _largest_of_each_view(drawn, logs, count)
    return _largest_of_each_view(drawn, logs, count)[0][0]


def _largest_of_each_view(
    clouds: list[PointCloud], logs: list[Float[Tensor, " _points"]], count: int
) -> tuple[list[PointCloud], list[Float[Tensor, " _points"]]]:
    cloud, log = concatenate(clouds), torch.cat(logs)
    order = log.argsort(descending=True)
    order = order[cloud.view_index[order].argsort(stable=True)]
    views, sizes = cloud.view_index[order].unique_consecutive(return_counts=True)
    share = max(count // max(len(views), 1), 1)
    rank = torch.arange(len(cloud)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    chosen = order[rank < share].sort().values
    return [cloud.take(chosen)], [log[chosen]]


def sightings(scene: Reconstruction, cloud: PointCloud) -> dict[int, Sighting]:
    """Return, for each registered view, the points of the cloud that it sees.

    A view sees a point that it gave, and one that projects into its photo where its own depth
    map agrees. The second kind of position is the projection itself: these are no matches of
    image features, so bundle adjustment would find nothing to improve in them. Where there are
    more than `MAX_SIGHTINGS` in all, some of the second kind are left out at random.
    """
    points = cloud.points.double()
    generator = torch.Generator().manual_seed(0)
    seen: dict[int, Sighting] = {}
    share = 1.0
    for i, _, camera in scene.posed_views():
        sighting = _sighting(scene, i, camera, cloud, points)
        seen[i] = _thinned(sighting, cloud.view_index == i, share, generator)
        if sum(len(s.point_index) for s in seen.values()) > MAX_SIGHTINGS:
            share /= 2
            for k, other in seen.items():
                seen[k] = _thinned(other, cloud.view_index == k, 0.5, generator)
    return seen


def _thinned(
    sighting: Sighting, own: Bool[Tensor, " points"], share: float, generator: torch.Generator
) -> Sighting:
    """Return a share of what a view sees, and all points that it gave."""
    if share == 1:
        return sighting
    drawn = torch.rand(len(sighting.point_index), generator=generator) < share
    kept = drawn | own[sighting.point_index]
    return Sighting(sighting.point_index[kept], sighting.xy[kept], sighting.error_px[kept])


def _sighting(
    scene: Reconstruction,
    index: int,
    camera: Camera,
    cloud: PointCloud,
    points: Float[Tensor, "points 3"],
) -> Sighting:
    camera_from_world = invert_rigid(camera.world_from_camera.double())
    ideal, depth = project(points, camera.intrinsics.double(), camera_from_world)
    projected = photo_from_ideal(ideal, camera.lens)
    own = cloud.view_index == index
    surface = _depth_at(scene, index, ideal, projected)
    agrees = (surface - depth).abs() <= _DEPTH_TOLERANCE * depth
    chosen = torch.nonzero(own | ((depth > 0) & agrees))[:, 0]
    xy = torch.where(own[:, None], cloud.pixel.double(), projected)[chosen]
    error_px = torch.linalg.vector_norm(xy - projected[chosen], dim=-1)
    return Sighting(chosen, xy, error_px)


def _depth_at(
    scene: Reconstruction,
    index: int,
    ideal: Float[Tensor, "points 2"],
    xy: Float[Tensor, "points 2"],
) -> Float[Tensor, " points"]:
    """Return a view's depth at pixels of its photo; nan outside and where nothing is seen.

    Args:
        scene: Whose depth.
        index: Of the view.
        ideal: The pixels before the lens bends them.
        xy: The pixels.
    """
    view = scene.views[index]
    size = xy.new_tensor([view.original_width, view.original_height])
    inside = ((xy >= 0) & (xy < size)).all(dim=-1)
    column, row, known = network_pixels(view, ideal)
    inside &= known & scene.valid(index)[row, column]
    return scene.depth[index].double()[row, column].where(inside, torch.nan)
