"""Images as the network takes them, and what masks leave of them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def views_of(images: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """Return one tensor (B, 3, H, W) a view."""
    return images.unbind(dim=1) if isinstance(images, Tensor) else images


def check_views(views: Sequence[Tensor], masks: Sequence[Tensor] | None, patch: int) -> None:
    """Refuse views that do not fit together, or have no whole number of patches.

    Raises:
        ValueError: They do not fit.
    """
    if not views:
        raise ValueError("at least one view is needed, got none")
    for view in views:
        if view.ndim != 4 or view.shape[1] != 3 or view.shape[0] != views[0].shape[0]:
            raise ValueError(
                f"each view must be {views[0].shape[0]}x3xHxW, got {'x'.join(map(str, view.shape))}"
            )
        height, width = view.shape[2:]
        if height % patch or width % patch or not height or not width:
            raise ValueError(
                f"image sides must be multiples of {patch} px, got {height}x{width}; "
                "load photos with fast3r.load_views"
            )
    sizes = [(v.shape[0], *v.shape[2:]) for v in views]
    if masks is not None and [tuple(m.shape) for m in masks] != sizes:
        raise ValueError(
            f"masks must have the batch and size of their views, {sizes}, "
            f"got {[tuple(m.shape) for m in masks]}"
        )


def unmasked(
    images: Float[Tensor, "images 3 height width"],
    masks: Bool[Tensor, "images height width"],
    patch: int,
) -> tuple[Float[Tensor, "images 3 height width"], Bool[Tensor, "images patches"]]:
    """Return images without what is masked out, and the patches that are worth keeping.

    Pixels outside the mask take the mean colour of those inside, so that nothing of the hidden
    object is left.
    """
    inside = masks[:, None].to(images.dtype)
    count = inside.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = (images * inside).sum(dim=(2, 3), keepdim=True) / count
    return torch.where(masks[:, None], images, mean), kept_patches(masks, patch)


def kept_patches(
    masks: Bool[Tensor, "images height width"], patch: int
) -> Bool[Tensor, "images patches"]:
    """Return the patches that are worth keeping: at least half of each is in the mask."""
    return F.avg_pool2d(masks[:, None].float(), patch).flatten(1) >= 0.5
