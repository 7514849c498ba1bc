"""Views that are decoded when looked at, so that sets of them need not fit in memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from jaxtyping import Bool, UInt8
from torch import Tensor

from fast3r.views.decode import UnreadablePhotoError
from fast3r.views.photos import Photo, read_view
from fast3r.views.view import View


class LazyView(View):
    """A view whose pixels, and mask where it may have one, are decoded when asked for, not kept.

    Everything else is known beforehand. Copies (`dataclasses.replace`, pickling) are plain views
    that hold their pixels.
    """

    def __new__(cls, **fields: Any) -> View:  # pyright: ignore[reportInconsistentConstructor]
        """Return a plain view: this is how `dataclasses.replace` makes copies."""
        return View(**fields)

    @classmethod
    def of(cls, photo: Photo, decode: Callable[[], View]) -> View:
        """Return the view of a photo, given how to decode it."""
        view = object.__new__(cls)
        vars(view).update(photo.facts, _resize=photo.resize, _decode=decode)
        if not photo.may_be_masked:
            vars(view)["_mask"] = None
        return view

    def with_mask(self, mask: Bool[Tensor, "height width"]) -> View:
        """Return the same view with another mask, which is kept."""
        view = object.__new__(LazyView)
        vars(view).update(vars(self), _mask=mask)
        return view

    @property
    def has_own_mask(self) -> bool:
        """Whether the mask is known without decoding the photo."""
        return "_mask" in vars(self)

    @property
    def pixels(self) -> UInt8[Tensor, "height width 3"]:  # pyright: ignore
        """RGB at network size."""
        return vars(self)["_decode"]().pixels

    @property
    def mask(self) -> Bool[Tensor, "height width"] | None:  # pyright: ignore
        """True where the pixel belongs to the scene; None means everywhere."""
        return vars(self)["_mask"] if self.has_own_mask else vars(self)["_decode"]().mask

    @property
    def height(self) -> int:
        """Rows at network size."""
        return vars(self)["_resize"].height

    @property
    def width(self) -> int:
        """Columns at network size."""
        return vars(self)["_resize"].width

    def __repr__(self) -> str:
        return f"LazyView({self.name!r}, {self.height}x{self.width})"

    def __reduce__(self) -> Any:
        return _plain_view, ({name: getattr(self, name) for name in View.__dataclass_fields__},)


def _plain_view(fields: dict[str, Any]) -> View:
    return View(**fields)


class PhotoReader:
    """Decodes photos in threads, ahead of a reader who goes in order, and keeps the last few."""

    def __init__(self, photos: Sequence[Photo], *, workers: int, kept: int = 64) -> None:
        self._photos = photos
        self._pool = ThreadPoolExecutor(workers)
        self._ahead, self._kept = 2 * workers, kept + 2 * workers
        self._decoded: OrderedDict[int, Future[View]] = OrderedDict()
        self._last = -1
        self._lock = threading.Lock()

    def views(self) -> list[View]:
        """Return the views of all photos, none of them decoded yet."""
        return [
            LazyView.of(photo, lambda index=index: self.read(index))
            for index, photo in enumerate(self._photos)
        ]

    def read(self, index: int) -> View:
        """Return the decoded view of one photo.

        Raises:
            ValueError: The file has changed since it was found to be whole.
        """
        with self._lock:
            in_order = index - self._last in (0, 1)
            self._last = index
            last = min(index + self._ahead, len(self._photos) - 1) if in_order else index
            for wanted in range(index, last + 1):
                self._request(wanted)
            future = self._decoded[index]
            while len(self._decoded) > self._kept:
                self._decoded.popitem(last=False)
        try:
            return future.result()
        except UnreadablePhotoError as error:
            raise ValueError(f"{self._photos[index].file.path} cannot be read: {error}") from error

    def _request(self, index: int) -> None:
        if index not in self._decoded:
            self._decoded[index] = self._pool.submit(read_view, self._photos[index])
        self._decoded.move_to_end(index)
