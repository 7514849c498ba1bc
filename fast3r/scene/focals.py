"""Focal lengths of a set of views, shared where one camera took them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.geometry.cameras import intrinsics_through, pinhole
from fast3r.geometry.focal import estimate_focal
from fast3r.scene.batches import Batch
from fast3r.views.turning import network_from_photo_camera
from fast3r.views.view import View

ShareFocal = Literal["camera", "all", "none"]


@dataclass(frozen=True)
class Lenses:
    """Which views look through one lens, of one focal length."""

    lens: Int[Tensor, " views"]
    """Number of the lens of each view."""

    sure: Bool[Tensor, " views"]
    """Whether its photo or the user says so; else the size of the photo suggests it."""

    known: Bool[Tensor, " views"]
    """Whether its focal length is known, be it by another view of the same lens."""

    def some(self, views: Sequence[int]) -> "Lenses":
        """Return the lenses of some of the views."""
        chosen = torch.as_tensor(views)
        return Lenses(self.lens[chosen], self.sure[chosen], self.known[chosen])


def lenses_of(views: Sequence[View], share: ShareFocal, *, known: Collection[int] = ()) -> Lenses:
    """Return the lenses of views.

    "camera" puts views together that have the same EXIF camera, or none, and the same size,
    upright or not; "all" puts all together; "none" gives each its own.

    Args:
        views: All of a scene.
        share: Which have one lens.
        known: Views whose focal length is known.

    Raises:
        ValueError: `share` is unknown.
    """
    keys = {
        "camera": [(v.camera_key, *sorted((v.original_height, v.original_width))) for v in views],
        "all": [()] * len(views),
        "none": list(range(len(views))),
    }
    if share not in keys:
        raise ValueError(f"share_focal must be one of {', '.join(keys)}, got {share!r}")
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys[share]))}
    lens = torch.tensor([numbers[key] for key in keys[share]], dtype=torch.long)
    told = torch.tensor([share != "camera" or v.camera_key is not None for v in views])
    return Lenses(lens, told, torch.isin(lens, lens[list(known)]))


def estimate_focals(batch: Batch, views: Sequence[View], seed: int) -> Float[Tensor, " views"]:
    """Return the focal length of each view of a batch in pixels of its original photo.

    It is nan where the pointmap does not tell it, as it is in a model without local pointmaps for
    all views but the first, whose frame the world is.
    """
    points, confidence = batch.local, batch.local_confidence
    if points is None:
        points, confidence = batch.world, batch.world_confidence
    maps = torch.stack([views[index].original_from_network.double() for index in batch.views])
    # Lengths in the photo of a step along the rows and the columns of the network's image.
    pitch = torch.linalg.vector_norm(maps[:, :2, :2], dim=-2)
    mean_pitch = pitch.prod(dim=-1).sqrt()
    centre = torch.stack([_principal_point(views[index]) for index in batch.views])
    # Stretching the points makes up for network pixels that are not square in the photo.
    stretch = torch.ones(len(maps), 3)
    stretch[:, :2] = mean_pitch[:, None] / pitch
    focal_px = estimate_focal(
        points * stretch[:, None, None].to(points),
        confidence,
        principal_point=centre.to(points),
        seed=seed,
    ).cpu()
    if batch.local is None:
        focal_px[[index != 0 for index in batch.views]] = torch.nan
    return focal_px * mean_pitch.float()


def share_focals(
    focals_px: Float[Tensor, " views"],
    views: Sequence[View],
    share: ShareFocal,
    *,
    known: Collection[int] = (),
) -> Float[Tensor, " views"]:
    """Return focal lengths of which those of one lens are equal: the median of theirs.

    They are compared relative to the long side of each photo. A view alone keeps its own. Views
    whose own pointmap told none take the median of all. Of views of one lens, those that are
    `known` decide for the others, and keep their own.

    Raises:
        ValueError: `share` is unknown.
    """
    lens = lenses_of(views, share, known=known).lens
    long_px = torch.tensor([float(max(v.original_height, v.original_width)) for v in views])
    relative = focals_px / long_px
    shared = relative.clone()
    for number in lens.unique():
        group = (lens == number).nonzero()[:, 0].tolist()
        deciding = [index for index in group if index in known] or group
        shared[group] = relative[deciding].nanquantile(0.5)
    shared[list(known)] = relative[list(known)]
    return shared.where(shared.isfinite(), relative.nanquantile(0.5)) * long_px


def original_intrinsics(view: View, focal_px: Float[Tensor, ""]) -> Float[Tensor, "3 3"]:
    """Return intrinsics in pixels of the photo, whose centre the optical axis meets."""
    return pinhole(focal_px, view.original_height, view.original_width)


def _principal_point(view: View) -> Float[Tensor, "2"]:
    """Return where the optical axis meets the network's image, whatever the focal length."""
    return image_intrinsics(view, original_intrinsics(view, torch.ones(())))[:2, 2]


def image_intrinsics(view: View, intrinsics: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
    """Return intrinsics of the original photo as those of the network's image, in float64.

    They are of the camera frame of that image, which for a turned view is turned as the image is.
    """
    photo_from_image = network_from_photo_camera(view)[:3, :3].double().mT
    return intrinsics_through(view.network_from_original, intrinsics.double()) @ photo_from_image
