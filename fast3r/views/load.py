"""From photos on disk, or a video, to views: the front door of this room."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from fast3r.views.decode import UnreadablePhotoError
from fast3r.views.masks import find_masks
from fast3r.views.photos import Photo, inspect_photo, read_view
from fast3r.views.resize import check_network_size
from fast3r.views.sources import PhotoFile, Sources, find_sources
from fast3r.views.video import read_video
from fast3r.views.view import SkippedPhoto
from fast3r.views.views import PhotoReader, Views

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
        masks: A folder of masks named like the photos; what is zero does not belong to the scene.
            Transparent parts of photos never do.
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
    sources = find_sources(source)
    _refuse_idle_options(sources, masks, fps, num_frames)
    files = sources.photos
    if masks is not None:
        files = find_masks(Path(masks).expanduser(), files)
    views = _read_photos(files, size, patch, lazy_above, workers or _num_cores(), progress)
    skipped, frames = list(views.skipped), []
    for name, path in sources.videos.items():
        try:
            frames += read_video(
                path,
                name,
                size=size,
                patch=patch,
                fps=fps,
                num_frames=num_frames,
                progress=progress,
            )
        except UnreadablePhotoError as error:
            if len(files) + len(sources.videos) == 1:
                raise
            skipped.append(SkippedPhoto(path.name, str(error)))
    if not views and not frames:
        raise ValueError(_why_none(sources.place, skipped))
    return Views([*views, *frames], skipped)


def _refuse_idle_options(
    sources: Sources, masks: str | Path | None, fps: float | None, num_frames: int | None
) -> None:
    if (fps is not None or num_frames is not None) and not sources.videos:
        raise ValueError(f"fps and num_frames are for videos; {sources.place} has none")
    if masks is not None and not sources.photos:
        raise ValueError(f"masks are for photos; {sources.place} has none")


def _read_photos(
    files: Sequence[PhotoFile],
    size: int,
    patch: int,
    lazy_above: int,
    workers: int,
    progress: Progress | None,
) -> Views:
    def inspect(file: PhotoFile) -> Photo:
        return inspect_photo(file, size=size, patch=patch)

    if len(files) <= lazy_above:
        views, skipped = _in_threads(lambda f: read_view(inspect(f)), files, workers, progress)
        return Views(views, skipped)
    photos, skipped = _in_threads(inspect, files, workers, progress)
    return Views(PhotoReader(photos, workers=workers).views(), skipped)


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


def _num_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), _MAX_WORKERS)
    return min(os.cpu_count() or 1, _MAX_WORKERS)
