"""One focal length for all views of a camera, found before the chunks are made.

Chunks with focal lengths of their own would not fit each other. So one pass looks at views from
the whole set first.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.scene.focals import ShareFocal, lenses_of, share_focals
from fast3r.scene.priors.binding import bind
from fast3r.scene.priors.types import Intrinsics, Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.view import View


def known_intrinsics(
    views: Sequence[View], priors: Priors | None
) -> dict[int, Float[Tensor, "3 3"]]:
    """Return what users know of the intrinsics, by the index of the view.

    Raises:
        ValueError: They cannot be true, or are of no view.
    """
    priors = priors or Priors()
    told = Priors(intrinsics=priors.intrinsics, other_photos=priors.other_photos)
    return bind(told, views).intrinsics


def spread_views(views: Sequence[View], count: int) -> list[int]:
    """Return views of every camera, spread evenly over those of each, `count` in all at most."""
    groups: dict[int, list[int]] = {}
    for index, lens in enumerate(lenses_of(views, "camera").lens.tolist()):
        groups.setdefault(lens, []).append(index)
    share = min(count / len(views), 1.0)
    chosen = []
    for group in sorted(groups.values(), key=len, reverse=True)[:count]:
        wanted = max(int(len(group) * share), 1)
        places = [(len(group) - 1) * (place + 0.5) / wanted for place in range(wanted)]
        chosen += [group[round(place)] for place in places]
    return sorted(chosen[:count])


def chunk_intrinsics(
    views: Sequence[View],
    known: dict[int, Float[Tensor, "3 3"]],
    share: ShareFocal,
    look: Callable[[], tuple[list[int], Reconstruction]],
) -> dict[str, Intrinsics]:
    """Return the intrinsics of views by name, as the passes over chunks are told.

    Args:
        views: All of them.
        known: By index.
        share: Which views have one focal length in common; with "none" each pass finds its own.
        look: Makes the pass over views from the whole set; returns these and the scene.
    """
    told = {index: _as_prior(matrix) for index, matrix in known.items()}
    if share != "none" and len(known) < len(views):
        focals_px = torch.full((len(views),), torch.nan)
        chosen, scene = look()
        for index, camera in zip(chosen, scene.cameras, strict=True):
            if camera is not None:
                focals_px[index] = _focal_px(camera.intrinsics)
        for index, matrix in known.items():
            focals_px[index] = _focal_px(matrix)
        shared = share_focals(focals_px, views, share, known=known)
        rest = [i for i in range(len(views)) if i not in known and shared[i].isfinite()]
        told |= {index: Intrinsics(shared[index].item()) for index in rest}
    return {
        views[index].name: intrinsics
        for index, intrinsics in told.items()
        if views[index].known_intrinsics is None
    }


def _focal_px(intrinsics: Float[Tensor, "3 3"]) -> Float[Tensor, ""]:
    """Return the geometric mean of the focal lengths along x and y."""
    return intrinsics[:2, :2].det().sqrt()


def _as_prior(matrix: Float[Tensor, "3 3"]) -> Intrinsics:
    (fx, _, cx), (_, fy, cy), _ = matrix.tolist()
    return Intrinsics((fx, fy), (cx, cy))
