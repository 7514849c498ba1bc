"""Points from tracks: one point seen at known pixels by several posed views."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.geometry.cameras import rays_through
from fast3r.geometry.transforms import in_double, off_mps

_REWEIGHTINGS = 3


class Triangulation(NamedTuple):
    """Points found for a set of tracks; nan where fewer than two rays, or only parallel ones."""

    points: Float[Tensor, "tracks 3"]
    """World points."""

    reprojection_px: Float[Tensor, " tracks"]
    """Root mean square reprojection error; infinite if the point is behind one of its views."""

    angle_deg: Float[Tensor, " tracks"]
    """Largest angle between two rays; below a degree or two the depth is unsure."""


@torch.no_grad()
def triangulate(
    pixels: Float[Tensor, "tracks sightings 2"],
    view_ids: Int[Tensor, "tracks sightings"],
    intrinsics: Float[Tensor, "views 3 3"],
    world_from_camera: Float[Tensor, "views 4 4"],
    *,
    mask: Bool[Tensor, "tracks sightings"] | None = None,
) -> Triangulation:
    """Return the point that best meets the rays of each track.

    The midpoint method, which minimises distances from the rays, reweighted by inverse squared
    depth and by focal length: this comes close to least reprojection error.

    Args:
        pixels: Where each track was seen, centres at +0.5.
        view_ids: The view of each sighting, an index into the cameras; any valid index where
            masked.
        intrinsics: Of all views.
        world_from_camera: Of all views.
        mask: False where a track has no such sighting; pads tracks of unequal length.
    """
    device = pixels.device
    mask = torch.ones_like(view_ids, dtype=torch.bool) if mask is None else mask
    pixels, intrinsics, world_from_camera = map(in_double, (pixels, intrinsics, world_from_camera))
    view_ids, mask = off_mps(view_ids), off_mps(mask)
    cameras, poses = intrinsics[view_ids], world_from_camera[view_ids]
    rays = rays_through(pixels[..., None, :], cameras)[..., 0, :]
    rays = (poses[..., :3, :3] @ rays[..., None])[..., 0]
    rays = rays / torch.linalg.vector_norm(rays, dim=-1, keepdim=True)
    centres = poses[..., :3, 3]
    weights = mask.to(torch.float64)
    points = _meet(centres, rays, weights)
    for _ in range(_REWEIGHTINGS):
        squared = (points[:, None] - centres).square().sum(dim=-1)
        points = _meet(centres, rays, weights * cameras[..., 0, 0].square() / squared)
    error = _reprojection(points, pixels, cameras, poses, weights)
    angle = _largest_angle_deg(rays, mask)
    found = Triangulation(points, error, angle)
    return Triangulation(*(field.to(device, torch.float32) for field in found))


def _meet(
    centres: Float[Tensor, "tracks sightings 3"],
    rays: Float[Tensor, "tracks sightings 3"],
    weights: Float[Tensor, "tracks sightings"],
) -> Float[Tensor, "tracks 3"]:
    """Return the point of least weighted squared distance from the rays."""
    identity = torch.eye(3, dtype=rays.dtype, device=rays.device)
    across = weights[..., None, None] * (identity - rays[..., :, None] * rays[..., None, :])
    # Solving relative to the first centre keeps digits where the world is far from its origin.
    origin = centres[:, :1]
    right = (across @ (centres - origin)[..., None]).sum(dim=1)
    left = across.sum(dim=1)
    # The determinant falls with the squared angle between rays; this is under 0.001 degrees.
    scaled = left / left.diagonal(dim1=-2, dim2=-1).sum(dim=-1)[:, None, None]
    determined = torch.linalg.det(scaled) > 1e-12
    point = torch.linalg.solve_ex(left, right)[0][..., 0] + origin[:, 0]
    return point.where(determined[:, None], torch.nan)


def _reprojection(
    points: Float[Tensor, "tracks 3"],
    pixels: Float[Tensor, "tracks sightings 2"],
    intrinsics: Float[Tensor, "tracks sightings 3 3"],
    world_from_camera: Float[Tensor, "tracks sightings 4 4"],
    weights: Float[Tensor, "tracks sightings"],
) -> Float[Tensor, " tracks"]:
    """Return root mean square reprojection errors; infinite behind a camera."""
    rotation, centres = world_from_camera[..., :3, :3], world_from_camera[..., :3, 3]
    seen = (rotation.mT @ (points[:, None] - centres)[..., None])[..., 0]
    image = ((intrinsics @ seen[..., None])[..., 0])[..., :2] / seen[..., 2:]
    squared = (image - pixels).square().sum(dim=-1).where(seen[..., 2] > 0, torch.inf)
    squared = squared.where(weights > 0, 0)
    mean = (squared.sum(dim=-1) / weights.sum(dim=-1)).sqrt()
    return mean.where(points.isfinite().all(dim=-1), torch.nan)


def _largest_angle_deg(
    rays: Float[Tensor, "tracks sightings 3"], mask: Bool[Tensor, "tracks sightings"]
) -> Float[Tensor, " tracks"]:
    # The chord between unit rays stays accurate for small angles, unlike their cosine.
    chord = torch.linalg.vector_norm(rays[:, :, None] - rays[:, None], dim=-1)
    both = mask[:, :, None] & mask[:, None]
    widest = chord.where(both, 0).flatten(1).amax(dim=-1)
    return torch.rad2deg(2 * torch.asin((widest / 2).clamp(max=1)))
