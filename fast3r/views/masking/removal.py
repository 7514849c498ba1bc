"""Views without what does not belong to the scene: sky, people, backgrounds, or what you say."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, cast, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from fast3r.views.lazy import LazyView
from fast3r.views.masking.people import FindPeople, import_transformers
from fast3r.views.masking.sky import sky_mask
from fast3r.views.masking.turntable import find_background
from fast3r.views.view import View, Views

SEEN_PX = 512
"""Long side, at least, of the photos in which people and horizons are looked for."""

Remover: TypeAlias = Callable[
    [UInt8[np.ndarray, "height width 3"]], Bool[np.ndarray, "height width"]
]
"""Takes an upright photo, RGB, and returns where it shows what is to go."""

RemovalName = Literal["sky", "people", "turntable"]
"""What can be found without a function of one's own."""

Removal: TypeAlias = RemovalName | Remover


def listed(remove: Removal | Iterable[Removal]) -> tuple[Removal, ...]:
    """Return what to remove as a tuple, also where it is one thing."""
    if isinstance(remove, str) or callable(remove):
        return (cast(Removal, remove),)
    return tuple(remove)


def check_removals(removals: Sequence[Removal]) -> None:
    """Accept what can be removed.

    Raises:
        ValueError: A name is unknown.
        ImportError: A library is missing.
    """
    for removal in removals:
        if not callable(removal) and removal not in get_args(RemovalName):
            raise ValueError(
                f"remove takes {', '.join(get_args(RemovalName))} or a function, got {removal!r}"
            )
    if "people" in removals:
        import_transformers()


def without(views: Views, seen: Sequence[View], removals: Sequence[Removal]) -> Views:
    """Return views whose masks leave out what is found.

    Args:
        views: At network size.
        seen: The same photos, perhaps larger, in which to look.
        removals: What to leave out.
    """
    parts = {
        v.name: (v, np.packbits(p)) for v, p in zip(seen, removed(seen, removals), strict=True)
    }
    return Views([_less(view, *parts[view.name]) for view in views], views.skipped)


def removed(
    seen: Sequence[View], removals: Sequence[Removal]
) -> Iterator[Bool[np.ndarray, "height width"]]:
    """Yield where each view shows what is to go, at its own size.

    Raises:
        ValueError: A function returns something else than such an image, or the camera before a
            turntable was not fixed.
    """
    removers = [_remover(removal, seen) for removal in removals]
    for view in seen:
        photo = view.pixels.numpy()
        found = [remover(photo) for remover in removers]
        for part in found:
            if np.shape(part) != photo.shape[:2] or np.asarray(part).dtype != bool:
                raise ValueError(
                    "what finds parts to remove must return True or False for each pixel, "
                    f"{photo.shape[:2]}, got {np.asarray(part).dtype} of {np.shape(part)} "
                    f"for {view.name}"
                )
        yield np.logical_or.reduce(found)


def moved(
    mask: Bool[np.ndarray, "_ _"],
    source_from_target: Float[Tensor, "3 3"],
    *,
    height: int,
    width: int,
) -> Bool[np.ndarray, "{height} {width}"]:
    """Return a mask in other pixels, by the nearest; False where it does not reach."""
    affine = source_from_target.double()[:2].flatten().tolist()
    picture = Image.fromarray(mask).convert("L")
    taken = picture.transform(
        (width, height), Image.Transform.AFFINE, affine, Image.Resampling.NEAREST
    )
    return np.asarray(taken) > 0


def _remover(removal: Removal, seen: Sequence[View]) -> Remover:
    if callable(removal):
        return removal
    if removal == "people":
        return FindPeople()
    if removal == "turntable":
        return find_background(_Pictures(seen))
    return sky_mask


class _Pictures(Sequence[np.ndarray]):
    """The pixels of views, decoded when looked at."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = views

    def __len__(self) -> int:
        return len(self._views)

    def __getitem__(self, index: int) -> np.ndarray:  # pyright: ignore
        return self._views[int(index)].pixels.numpy()


def _less(view: View, seen: View, packed: UInt8[np.ndarray, " bytes"]) -> View:
    bits = np.unpackbits(packed, count=seen.height * seen.width)
    part = bits.reshape(seen.height, seen.width).astype(bool)
    seen_from_view = seen.network_from_original @ view.original_from_network.double()
    gone = moved(part, seen_from_view, height=view.height, width=view.width)
    if not gone.any():
        return view
    kept = torch.from_numpy(~gone)
    own = view.mask
    mask = kept if own is None else own & kept
    return view.with_mask(mask) if isinstance(view, LazyView) else replace(view, mask=mask)
