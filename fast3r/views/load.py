"""From photos on disk, or a video, to views: the front door of this room."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from fast3r.cluster.cores import usable_cores
from fast3r.views.decode import UnreadablePhotoError
from fast3r.views.lazy import LazyView, PhotoReader
from fast3r.views.masking.folder import MaskFolder, check_kept, check_mask
from fast3r.views.masking.removal import SEEN_PX, Removal, check_removals, listed, without
from fast3r.views.names import Names
from fast3r.views.photos import Optics, Photo, inspect_photos, read_view
from fast3r.views.resize import check_network_size
from fast3r.views.sources import MaskKeeps, PhotoFile, Sources, find_sources
from fast3r.views.video import read_video
from fast3r.views.view import SkippedPhoto, View, Views

Lenses = Optics | Mapping[str, Optics]
"""Of all photos, or by name or pattern (`left/*`)."""

Progress = Callable[[int, int], None]
"""Called with the number of photos, or stretches of a video, done and of all."""

_MAX_WORKERS = 16

_T = TypeVar("_T")


def load_views(
    source: str | Path | Sequence[str | Path],
    *,
    size: int = 512,
    patch: int = 16,
    masks: str | Path | None = None,
    masks_keep: MaskKeeps = "white",
    remove: Removal | Iterable[Removal] = (),
    lenses: Lenses | None = None,
    fps: float | None = None,
    num_frames: int | None = None,
    lazy_above: int = 400,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Views:
    """Return the views of a folder, a file, a pattern such as `photos/*.jpg`, a video, or a list.

    Photos stand upright as their EXIF asks. The long side becomes `size`; the short side becomes
    the multiple of `patch` that crops the least, and very narrow photos are padded. Folders and
    patterns are read in natural order (img2 before img10), lists in their own, videos last; a
    folder's subfolders are not looked into. What cannot be read is named in `.skipped`.

    Args:
        source: What to read. Videos need `pip install 'fast3r[media]'`, and so does HEIC.
        size: Long side at network size, in pixels.
        patch: Patch of the network, in pixels.
        masks: A folder of masks named like the photos (`a.jpg.png` or `a.png`) and frames
            (`video/frame_000012.png`). Transparent parts of photos never belong to the scene.
        masks_keep: What belongs to the scene in the masks: "white" is all that is not black.
        remove: What to leave out automatically: "sky", "people", "turntable" (the background of
            an object that was turned before a camera), or any function that takes a photo and
            returns where it shows what is to go.
        lenses: What is known of how photos were taken: a `Lens`, whose photos are shown as a
            pinhole camera would have seen them, or "equirectangular", which makes eight views of a
            panorama, as is done unasked where its metadata says so. Names of photos that are not
            there are passed over as long as one is.
        fps: Frames to keep per second of each video.
        num_frames: Frames to keep of each video, at most. With neither this nor `fps`, two per
            second are kept, at most 100.
        lazy_above: Sets of more photos are decoded when looked at, so that they need not fit in
            memory; their files are checked now all the same.
        workers: Threads that decode; by default one per core.
        progress: Called with the number of photos, or stretches of a video, done and of all.

    Raises:
        ValueError: There is nothing to read, nothing of it can be read, or an option is wrong;
            the message says which, and what was found instead.
        ImportError: A video was given, and PyAV is not installed.
    """
    check_network_size(size, patch)
    removals = listed(remove)
    check_removals(removals)
    sources = find_sources(source)
    _check_options(sources, fps, num_frames, lenses)
    folder = None if masks is None else MaskFolder.find(Path(masks).expanduser(), masks_keep)
    optics = _optics(lenses, sources.photos)
    workers = workers or min(usable_cores(), _MAX_WORKERS)
    reading = _Reading(sources, optics, fps, num_frames, lazy_above, workers)
    found = reading.views(size, patch, masks=folder, progress=progress)
    if removals and found:
        large = all(max(view.height, view.width) >= SEEN_PX for view in found)
        found = without(found, found if large else reading.views(SEEN_PX, 1), removals)
    found = _without_empty(found, patch)
    if not found:
        raise ValueError(_why_none(sources.place, found.skipped))
    return found


def _check_options(
    sources: Sources, fps: float | None, num_frames: int | None, lenses: Lenses | None
) -> None:
    if (fps is not None or num_frames is not None) and not sources.videos:
        raise ValueError(f"fps and num_frames are for videos; {sources.place} has none")
    if lenses is not None and sources.videos:
        raise ValueError(
            f"lenses are for photos, and {next(iter(sources.videos))} is a video; take its frames "
            "as photos (ffmpeg -i VIDEO frames/%05d.png)"
        )


@dataclass(frozen=True)
class _Reading:
    """What to read, and how, at whatever size."""

    sources: Sources
    optics: dict[str, Optics]
    fps: float | None
    num_frames: int | None
    lazy_above: int
    workers: int

    def views(
        self,
        size: int,
        patch: int,
        *,
        masks: MaskFolder | None = None,
        progress: Progress | None = None,
    ) -> Views:
        """Return the views of all photos and videos, and what of them cannot be read."""
        files = self.sources.photos
        if masks is not None:
            files = [masks.given(file) for file in files]
        # Frames first, as masks are checked against the names of all before photos are decoded.
        frames = self._frames(size, patch, masks, progress)
        if masks is not None and (frames or not self.sources.videos):
            masks.check_names([named.name for named in (*files, *frames)])
        photos = self._photos(files, size, patch, progress)
        return Views([*photos, *frames], [*photos.skipped, *frames.skipped])

    def _frames(
        self, size: int, patch: int, masks: MaskFolder | None, progress: Progress | None
    ) -> Views:
        frames, skipped = [], []
        for name, path in self.sources.videos.items():
            try:
                frames += read_video(
                    path,
                    name,
                    size=size,
                    patch=patch,
                    fps=self.fps,
                    num_frames=self.num_frames,
                    masks=masks,
                    progress=progress,
                )
            except UnreadablePhotoError as error:
                if len(self.sources.photos) + len(self.sources.videos) == 1:
                    raise
                skipped.append(SkippedPhoto(path.name, str(error)))
        return Views(frames, skipped)

    def _photos(
        self, files: Sequence[PhotoFile], size: int, patch: int, progress: Progress | None
    ) -> Views:
        """Return the views of photos, several of each panorama."""

        def inspect(file: PhotoFile) -> list[Photo]:
            optics = self.optics.get(file.name) or "auto"
            return inspect_photos(file, size=size, patch=patch, optics=optics)

        def check(file: PhotoFile) -> list[Photo]:
            photos = inspect(file)
            check_mask(file, photos[0].whole_size, photos[0].exif.orientation)
            return photos

        def read(file: PhotoFile) -> list[View]:
            return [read_view(photo) for photo in inspect(file)]

        if len(files) > self.lazy_above:
            photos, skipped = _in_threads(check, files, self.workers, progress)
            reader = PhotoReader(list(chain.from_iterable(photos)), workers=self.workers)
            return Views(reader.views(), skipped)
        views, skipped = _in_threads(read, files, self.workers, progress)
        return Views(chain.from_iterable(views), skipped)


def _without_empty(views: Views, patch: int) -> Views:
    """Return the views but for those whose masks leave too little of them.

    Views that are decoded when looked at stay: their masks were checked with their files.
    """
    left, skipped = [], list(views.skipped)
    for view in views:
        try:
            at_hand = not isinstance(view, LazyView) or view.has_own_mask
            if at_hand and view.mask is not None:
                check_kept(view.mask.numpy(), patch)
            left.append(view)
        except UnreadablePhotoError as error:
            skipped.append(SkippedPhoto(view.name, str(error)))
    return Views(left, skipped)


def _optics(lenses: Lenses | None, files: Sequence[PhotoFile]) -> dict[str, Optics]:
    """Return what is known of how photos were taken, by their exact names."""
    if lenses is None:
        return {}
    if not isinstance(lenses, Mapping):
        lenses = {"*": lenses}
    names = Names(files, other_photos=True)
    chosen = names.by_view(lenses, what="lenses") if files else {}
    return {files[index].name: optics for index, optics in chosen.items()}


def _in_threads(
    read: Callable[[PhotoFile], _T],
    files: Sequence[PhotoFile],
    workers: int,
    progress: Progress | None,
) -> tuple[list[_T], list[SkippedPhoto]]:
    """Return what `read` makes of the files, in order, and those that it finds unreadable."""

    def read_or_skip(file: PhotoFile) -> _T | SkippedPhoto:
        try:
            return read(file)
        except UnreadablePhotoError as error:
            return SkippedPhoto(file.name, str(error))

    results: list[_T | SkippedPhoto] = []
    pool = ThreadPoolExecutor(workers)
    try:
        for result in pool.map(read_or_skip, files):
            results.append(result)
            if progress:
                progress(len(results), len(files))
    finally:
        # An interrupt must not wait for the whole set.
        pool.shutdown(cancel_futures=True)
    skipped = [result for result in results if isinstance(result, SkippedPhoto)]
    return [result for result in results if not isinstance(result, SkippedPhoto)], skipped


def _why_none(place: str, skipped: Sequence[SkippedPhoto]) -> str:
    shown = "; ".join(f"{photo.name}: {photo.reason}" for photo in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    if len(skipped) == 1:
        return f"{place} cannot be used: {skipped[0].reason}"
    return f"none of the {len(skipped)} photos in {place} can be used: {shown}{more}"
