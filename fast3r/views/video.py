"""A video becomes views: sharp frames, well spaced over its whole length.

At most one frame is held at full size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fast3r.views.decode import UnreadablePhotoError, swaps_axes
from fast3r.views.keyframes import Stretches, check_sampling, is_same, plan_stretches, sharpness
from fast3r.views.masking.folder import MaskFolder, read_mask
from fast3r.views.pixels import hidden_by, pixels_and_mask
from fast3r.views.resize import plan_resize
from fast3r.views.sources import PhotoFile
from fast3r.views.video_file import Skipped, Timeline, decoded_frames, read_timeline
from fast3r.views.view import VIDEO_PREFIX, View

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

_ORIENTATIONS = {0: 1, 90: 8, 180: 3, 270: 6}
"""EXIF orientation of a frame that must be turned counter-clockwise by so many degrees."""

_SCORED_PX = 512
"""Long side at which sharpness is judged: blur that is invisible there does no harm."""

_THUMBNAIL_PX = 64
"""Long side at which frames are compared."""

_PLENTY_FRAMES = 60
"""A stretch of so many frames, two seconds, is long: shake comes and goes in it many times."""

_PLENTY_KEY_FRAMES = 5


@dataclass(frozen=True)
class _Candidate:
    """The best frame of a stretch so far."""

    frame: "VideoFrame"
    grey: UInt8[np.ndarray, "height width"]
    number: int
    time_s: float
    score: float


def read_video(
    path: Path,
    name: str,
    *,
    size: int,
    patch: int,
    fps: float | None = None,
    num_frames: int | None = None,
    masks: MaskFolder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[View]:
    """Return the sharpest frame of each stretch of a video, turned upright.

    The stretches are `1 / fps` long, or there are `num_frames` of them; with neither, two per
    second, at most 100 in all. Frames that repeat the one before are left out. Of a damaged video,
    what can be decoded is used.

    Raises:
        ValueError: The file holds no video, or fewer than two frames of it can be decoded.
        ImportError: PyAV is not installed.
    """
    check_sampling(fps, num_frames)
    timeline = read_timeline(path)
    stretches = plan_stretches(timeline.duration_s, fps, num_frames)
    views, previous = [], None
    for candidate in _best_frames(path, timeline, stretches):
        thumbnail = _thumbnail(candidate.grey)
        if previous is None or not is_same(thumbnail, previous):
            views.append(_view(candidate, path, name, size, patch, masks))
            previous = thumbnail
        if progress:
            progress(stretches.index_at(candidate.time_s) + 1, stretches.count)
    return views


def _best_frames(path: Path, timeline: Timeline, stretches: Stretches) -> Iterator[_Candidate]:
    """Yield the best frame of each stretch that has any."""
    from av.video.reformatter import VideoReformatter

    best = None
    # One for all frames: setting up takes ten times as long as shrinking.
    shrinker = VideoReformatter()
    for num_before, frame in enumerate(decoded_frames(path, _skippable(timeline, stretches))):
        candidate = _candidate(frame, num_before, timeline, stretches, shrinker)
        if best and stretches.index_at(candidate.time_s) != stretches.index_at(best.time_s):
            yield best
            best = None
        if best is None or candidate.score > best.score:
            best = candidate
    assert best is not None
    yield best


def _skippable(timeline: Timeline, stretches: Stretches) -> Skipped:
    """Return which frames need no decoding, because each stretch has plenty of others.

    Those are the more compressed ones, so quality does not suffer.
    """
    if not timeline.stamps:
        return "DEFAULT"
    if stretches.min_per_stretch(map(timeline.time_s, timeline.stamps)) < _PLENTY_FRAMES:
        return "DEFAULT"
    keys = stretches.min_per_stretch(map(timeline.time_s, timeline.key_stamps))
    return "NONKEY" if keys >= _PLENTY_KEY_FRAMES else "NONREF"


def _candidate(
    frame: "VideoFrame",
    num_before: int,
    timeline: Timeline,
    stretches: Stretches,
    shrinker: "VideoReformatter",
) -> _Candidate:
    number, time_s = timeline.locate(frame, num_before)
    shrunk = min(_SCORED_PX / max(frame.width, frame.height), 1)
    width, height = (max(round(side * shrunk), 3) for side in (frame.width, frame.height))
    grey = shrinker.reformat(frame, width, height, "gray", interpolation="AREA").to_ndarray()
    # Frames near the middle of their stretch are favoured, so that neighbours keep apart.
    score = sharpness(grey) * stretches.centrality(time_s)
    return _Candidate(frame, grey, number, time_s, score)


def _thumbnail(grey: UInt8[np.ndarray, "height width"]) -> np.ndarray:
    shrunk = min(_THUMBNAIL_PX / max(grey.shape), 1)
    height, width = (max(round(side * shrunk), 1) for side in grey.shape)
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BOX))


def _view(
    candidate: _Candidate,
    path: Path,
    name: str,
    size: int,
    patch: int,
    masks: MaskFolder | None,
) -> View:
    frame = candidate.frame
    orientation = _ORIENTATIONS[round(frame.rotation / 90) * 90 % 360]
    height, width = frame.height, frame.width
    if swaps_axes(orientation):
        height, width = width, height
    try:
        resize = plan_resize(height, width, size=size, patch=patch)
    except UnreadablePhotoError as error:
        raise UnreadablePhotoError(f"{path} cannot be used: {error}") from error
    file = PhotoFile(f"{name}/frame_{candidate.number:06d}", path)
    file = file if masks is None else masks.given(file)
    picture = frame.to_image()
    drawn = read_mask(file, (width, height), orientation=1)
    opacity = hidden_by(drawn, None, size=picture.size, orientation=orientation)
    pixels, mask = pixels_and_mask(picture, opacity, resize, orientation)
    return View(
        pixels=pixels,
        original_from_network=resize.original_from_network,
        name=file.name,
        original_height=height,
        original_width=width,
        mask=mask,
        source=path,
        camera_key=VIDEO_PREFIX + name,
        time_s=candidate.time_s,
    )
