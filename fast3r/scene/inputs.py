"""Views as the network takes them: floating-point images that exist only while they are used."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from fast3r.scene.batches import views_by_size
from fast3r.views.lazy import LazyView
from fast3r.views.view import View

_THREADS = 4
_AHEAD = 16
"""Views that are decoded before the network asks for them: two of its chunks."""


class LazyImage(Tensor):
    """An image (1, 3, H, W) with values in [0, 1] that is made anew by each operation on it.

    Its shape is known at any time. In float32 an image takes four times the memory of its pixels.
    """

    @staticmethod
    def __new__(cls, view: View, pixels: Callable[[], Tensor]) -> "LazyImage":
        """Return the image of a view, given how to get its pixels."""
        shape = (1, 3, view.height, view.width)
        return Tensor._make_wrapper_subclass(cls, shape, dtype=torch.float32)  # pyright: ignore

    def __init__(self, view: View, pixels: Callable[[], Tensor]) -> None:
        super().__init__()
        self._pixels = pixels

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        """Put images in the place of what stands for them."""
        arguments, options = tree_map(_made, (arguments, options or {}))
        return operation(*arguments, **options)

    def __repr__(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return f"LazyImage({tuple(self.shape)})"


def lazy_images(views: Sequence[View]) -> list[Tensor]:
    """Return one image a view; photos that are not decoded yet are so ahead of use, in threads."""
    ahead = _Ahead(views)
    return [
        LazyImage(view, lambda index=index: ahead.pixels(index)) for index, view in enumerate(views)
    ]


def masks_of(views: Sequence[View]) -> list[Tensor] | None:
    """Return masks with a batch axis; None where no view has one."""
    masks = [view.mask for view in views]  # one look a view, as each may decode the photo anew
    if all(mask is None for mask in masks):
        return None
    return [
        torch.ones(1, view.height, view.width, dtype=torch.bool) if mask is None else mask[None]
        for view, mask in zip(views, masks, strict=True)
    ]


def _made(value: object) -> object:
    if not isinstance(value, LazyImage):
        return value
    return value._pixels().permute(2, 0, 1)[None].to(torch.float32) / 255


class _Ahead:
    """Decodes photos before they are asked for, in the order in which the encoder takes them."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = views
        self._order = list(chain.from_iterable(views_by_size(views)))
        self._place = {index: place for place, index in enumerate(self._order)}
        self._decoded: dict[int, Future[Tensor]] = {}
        lazy = any(isinstance(view, LazyView) for view in views)
        self._pool = ThreadPoolExecutor(_THREADS) if lazy else None

    def pixels(self, index: int) -> Tensor:
        """Return the pixels of a view, and begin to decode those that come after it."""
        if self._pool is None:
            return self._views[index].pixels
        place = self._place[index]
        for other in self._order[place : place + _AHEAD]:
            if other not in self._decoded and isinstance(self._views[other], LazyView):
                self._decoded[other] = self._pool.submit(getattr, self._views[other], "pixels")
        decoded = self._decoded.pop(index, None)
        return self._views[index].pixels if decoded is None else decoded.result()
