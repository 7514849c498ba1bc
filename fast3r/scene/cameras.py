"""From pointmaps to cameras and depth, in pixels of the original photos.

The local pointmap of a view tells its focal length and the shape of its depth; the world pointmap
tells where the camera stands and how large that depth is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.geometry.transforms import Similarity
from fast3r.models.prediction import Prediction
from fast3r.scene.batches import batches
from fast3r.scene.depth import depth_for_camera, depth_in_world
from fast3r.scene.focals import (
    Lenses,
    ShareFocal,
    estimate_focals,
    image_intrinsics,
    lenses_of,
    original_intrinsics,
    share_focals,
)
from fast3r.scene.matched_poses import poses_from_matches
from fast3r.scene.outputs import Keep, in_memory
from fast3r.scene.panoramas import tied_faces
from fast3r.scene.patch_matches import patches_of
from fast3r.scene.pose_choice import PoseRecipe, find_poses, sampled, why_not_registered
from fast3r.views.turning import network_from_photo_camera
from fast3r.views.view import View

_NO_FOCAL = "no focal length explains the points of this or any other view"


@dataclass(frozen=True)
class RecoveredCameras:
    """Cameras of a set of views: lists that run parallel to it, with all tensors on the CPU."""

    cameras: list[Camera | None]
    """In pixels of the original photos; None where no pose was found."""

    depth: list[Float[Tensor, "_height _width"]]
    """Distance along the camera's z axis at network size, in world units; 0 where unknown."""

    confidence: list[Float[Tensor, "_height _width"]]
    """How sure the network is of the depth; at least 1."""

    failures: list[str | None]
    """Why a view has no camera."""

    seen_focals_px: Float[Tensor, " views"]
    """Focal length that each view's own pointmap tells, in pixels of its original photo; nan where
    it tells none."""


def recover_cameras(
    predictions: Sequence[Prediction],
    views: Sequence[View],
    *,
    share_focal: ShareFocal = "camera",
    pose_recipe: PoseRecipe = "robust",
    known_intrinsics: Mapping[int, Float[Tensor, "3 3"]] | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    keep: Keep = in_memory,
) -> RecoveredCameras:
    """Return the camera and the depth of each view.

    The world is that of the world pointmaps: roughly the frame of the first camera, which is
    found like all others and not set to the identity.

    Args:
        predictions: One per view, of batch size 1.
        views: What was predicted; their masks exclude points.
        share_focal: Which views have one focal length in common, see `share_focals`.
        pose_recipe: "pointmaps" finds each pose in two ways, by PnP on the world points and from
            the similarity between the two pointmaps, and takes the one of smaller reprojection
            error. "robust" goes on from there by the matches between patches, where the model
            tells them (`matched_poses.py`). "reference" is the PnP of the published evaluation,
            to compare with; it takes our focal lengths and needs OpenCV.
        known_intrinsics: Of some views by their index, in pixels of the original photos; other
            views of the same camera take their focal length.
        device: Where to compute.
        seed: Of all sampling.
        keep: Takes depth maps to where they stay.

    Raises:
        ValueError: An option is unknown.
    """
    device = torch.device(device)
    known = {} if known_intrinsics is None else known_intrinsics
    masks = [view.mask for view in views]  # once, as each look may decode the photo anew
    seen_focals_px = torch.full((len(views),), torch.nan)
    for batch in batches(predictions, views, masks, device):
        seen_focals_px[batch.views] = estimate_focals(batch, views, seed)
    original = _original_intrinsics(seen_focals_px, views, share_focal, known)

    has_matches = all(p.patches is not None and p.local is not None for p in predictions)
    by_matches = pose_recipe == "robust" and has_matches and len(views) > 1
    found: dict[int, _Found] = {}
    for batch in batches(predictions, views, masks, device):
        intrinsics = torch.stack([image_intrinsics(views[i], original[i]) for i in batch.views])
        sample = sampled(batch, seed)
        poses = find_poses(batch, sample, intrinsics.float().to(device), pose_recipe, seed)
        depth, scale = depth_in_world(batch, sample, poses.world_from_camera)
        for place, index in enumerate(batch.views):
            if not (poses.registered & (scale > 0))[place]:
                found[index] = _Found(failure=why_not_registered(batch, sample, poses, place))
            elif not original[index].isfinite().all():
                found[index] = _Found(failure=_NO_FOCAL)
            else:
                pose = poses.world_from_camera[place].cpu()
                camera = _camera(views[index], original[index], pose)
                # Matches may yet change the scale of the depth.
                kept = None if by_matches else keep(f"{index}-depth", depth[place])
                found[index] = _Found(camera, kept, _similarity(pose, scale[place].cpu()))
    if by_matches:
        lenses = lenses_of(views, share_focal, known=known)
        _add_matches(found, predictions, views, masks, original, lenses, seed=seed)
        for index, view in found.items():
            if view.world_from_local is not None:
                depth = _scaled_depth(predictions[index], view.world_from_local.scale)
                found[index] = view._replace(depth=keep(f"{index}-depth", depth))
    for index, tied in tied_faces(views, [found[i].camera for i in range(len(views))]).items():
        found[index] = _of_face(tied, predictions[index], views[index], device, seed)
    return RecoveredCameras(
        cameras=[found[i].camera for i in range(len(views))],
        depth=[_or_zero(found[i].depth, view) for i, view in enumerate(views)],
        confidence=[_confidence(prediction) for prediction in predictions],
        failures=[found[i].failure for i in range(len(views))],
        seen_focals_px=seen_focals_px,
    )


class _Found(NamedTuple):
    """What became of a view."""

    camera: Camera | None = None
    depth: Float[Tensor, "height width"] | None = None
    world_from_local: Similarity | None = None
    failure: str | None = None


def _add_matches(
    found: dict[int, _Found],
    predictions: Sequence[Prediction],
    views: Sequence[View],
    masks: Sequence[Tensor | None],
    original: Sequence[Float[Tensor, "3 3"]],
    lenses: Lenses,
    *,
    seed: int,
) -> None:
    """Put views where their matches have them, without depth; those of too few matches stay."""
    patches = [patches_of(*each) for each in zip(predictions, masks, strict=True)]
    intrinsics = [image_intrinsics(view, k) for view, k in zip(views, original, strict=True)]
    start = [found[index].world_from_local for index in range(len(views))]
    matched = poses_from_matches(patches, torch.stack(intrinsics).float(), lenses, start, seed=seed)
    for index in matched.tied.nonzero()[:, 0].tolist():
        place = matched.world_from_view[index]
        pose = place.moved_pose(torch.eye(4, dtype=torch.float64)).float()
        zoom = torch.diag(torch.nn.functional.pad(matched.longer[index].expand(2), (0, 1), value=1))
        camera = _camera(views[index], original[index] @ zoom, pose)
        found[index] = _Found(camera, world_from_local=place)


def _scaled_depth(
    prediction: Prediction, scale: Float[Tensor, ""]
) -> Float[Tensor, "height width"]:
    """Return the depth of a local pointmap in units of the world; 0 where it is none."""
    assert prediction.local is not None
    depth = prediction.local.points[0, ..., 2].float() * scale.item()
    return depth.where(depth > 0, 0)


def _similarity(pose: Float[Tensor, "4 4"], scale: Float[Tensor, ""]) -> Similarity:
    pose = pose.double()
    return Similarity(scale.double(), pose[:3, :3], pose[:3, 3])


def _of_face(
    tied: Camera | str, prediction: Prediction, view: View, device: torch.device, seed: int
) -> _Found:
    """Return what became of a face that was tied to others."""
    if isinstance(tied, str):
        return _Found(failure=tied)
    return _Found(tied, depth_for_camera(prediction, view, tied, device=device, seed=seed))


def _or_zero(depth: Tensor | None, view: View) -> Float[Tensor, "height width"]:
    return torch.zeros(view.height, view.width) if depth is None else depth


def _original_intrinsics(
    seen_focals_px: Float[Tensor, " views"],
    views: Sequence[View],
    share_focal: ShareFocal,
    known: Mapping[int, Float[Tensor, "3 3"]],
) -> list[Float[Tensor, "3 3"]]:
    """Return intrinsics in pixels of the photos; nan where nothing tells a focal length."""
    focals_px = seen_focals_px.clone()
    for index, matrix in known.items():
        focals_px[index] = matrix[:2, :2].det().sqrt()
    focals_px = share_focals(focals_px, views, share_focal, known=known)
    return [
        known[i].float() if i in known else original_intrinsics(view, focals_px[i])
        for i, view in enumerate(views)
    ]


def _camera(view: View, intrinsics: Tensor, world_from_image: Tensor) -> Camera:
    """Return the photo's camera from the pose of the image that the network saw."""
    return Camera(
        intrinsics=intrinsics,
        world_from_camera=world_from_image.cpu() @ network_from_photo_camera(view),
        height=view.original_height,
        width=view.original_width,
    )


def _confidence(prediction: Prediction) -> Float[Tensor, "height width"]:
    """Return the confidence of the pointmap that depth is made from."""
    pointmap = prediction.world if prediction.local is None else prediction.local
    return pointmap.confidence[0].to("cpu", torch.float32)
