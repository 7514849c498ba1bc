"""Multi-view tracks for points that came from depth maps: who else sees each point, and where."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fast3r.geometry.cameras import Camera, invert_rigid, project
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction

DEPTH_TOLERANCE = 0.03
"""A point is hidden where the depth map differs from its depth by more than this share."""


@dataclass(frozen=True)
class Sighting:
    """The points that one view sees."""

    point_index: Int64[Tensor, " observations"]
    """Into the point cloud, ascending."""

    xy: Float[Tensor, "observations 2"]
    """In pixels of the original photo, pixel centres at +0.5, float64."""

    error_px: Float[Tensor, " observations"]
    """Distance from the projection of the point, float64."""


def surest_of_each_view(cloud: PointCloud, count: int, *, seed: int = 0) -> PointCloud:
    """Return at most `count` points: equal shares of each view, drawn by confidence.

    Drawing instead of taking the best keeps the points spread over the photo. The draw is that
    of Efraimidis and Spirakis (2006): largest u^(1/confidence) with u uniform in (0, 1).
    """
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(len(cloud), generator=generator, dtype=torch.float64)
    order = (uniform.log() / cloud.confidence.double()).argsort(descending=True)
    order = order[cloud.view_index[order].argsort(stable=True)]
    views, sizes = cloud.view_index[order].unique_consecutive(return_counts=True)
    share = max(count // max(len(views), 1), 1)
    rank = torch.arange(len(cloud)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    return cloud.take(order[rank < share].sort().values)


def sightings(
    scene: Reconstruction, cloud: PointCloud, *, depth_tolerance: float = DEPTH_TOLERANCE
) -> dict[int, Sighting]:
    """Return, for each registered view, the points of the cloud that it sees.

    A view sees a point that it gave, and one that projects into its photo where its own depth
    map agrees. The second kind of position is the projection itself: these are no matches of
    image features, so bundle adjustment would find nothing to improve in them.
    """
    points = cloud.points.double()
    return {
        i: _sighting(scene, i, camera, cloud, points, depth_tolerance)
        for i, _, camera in scene.posed_views()
    }


def _sighting(
    scene: Reconstruction,
    index: int,
    camera: Camera,
    cloud: PointCloud,
    points: Float[Tensor, "points 3"],
    depth_tolerance: float,
) -> Sighting:
    camera_from_world = invert_rigid(camera.world_from_camera.double())
    projected, depth = project(points, camera.intrinsics.double(), camera_from_world)
    own = cloud.view_index == index
    surface = _depth_at(scene, index, camera, projected)
    agrees = (surface - depth).abs() <= depth_tolerance * depth
    chosen = torch.nonzero(own | ((depth > 0) & agrees))[:, 0]
    xy = torch.where(own[:, None], cloud.pixel.double(), projected)[chosen]
    error_px = torch.linalg.vector_norm(xy - projected[chosen], dim=-1)
    return Sighting(chosen, xy, error_px)


def _depth_at(
    scene: Reconstruction, index: int, camera: Camera, xy: Float[Tensor, "points 2"]
) -> Float[Tensor, " points"]:
    """Return a view's depth at pixels of its photo; nan outside and where nothing is seen."""
    view = scene.views[index]
    affine = view.original_from_network.double().inverse()
    network = (xy @ affine[:2, :2].mT + affine[:2, 2]).floor()
    inside = ((xy >= 0) & (xy < xy.new_tensor([camera.width, camera.height]))).all(dim=-1)
    inside &= ((network >= 0) & (network < xy.new_tensor([view.width, view.height]))).all(dim=-1)
    column, row = network.where(inside[:, None], 0).long().unbind(-1)
    inside &= scene.valid(index)[row, column]
    return scene.depth[index].double()[row, column].where(inside, torch.nan)
