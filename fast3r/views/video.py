"""A video becomes views: sharp frames, well spaced over its whole length.

Time is read from the frames' own stamps, so a variable frame rate does no harm. At most one frame
is held at full size.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fast3r.views.decode import UnreadablePhotoError, swaps_axes
from fast3r.views.keyframes import Stretches, check_sampling, is_same, plan_stretches, sharpness
from fast3r.views.masks import MaskFolder, read_mask
from fast3r.views.photos import masked_content, pad
from fast3r.views.resize import plan_resize
from fast3r.views.sources import PhotoFile
from fast3r.views.view import View

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

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
class _Timeline:
    """The stamps of a video's packets."""

    stamps: list[int]
    """Of each frame, ascending; empty if some packets have none."""

    key_stamps: list[int]
    """Of the frames that can be decoded without others."""

    unit_s: float
    """Seconds per unit of the stamps."""

    frame_s: float
    """Average duration of a frame."""

    num_packets: int
    """Number of frames, should all be whole."""

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        if not self.stamps:
            return self.num_packets * self.frame_s
        return (self.stamps[-1] - self.stamps[0]) * self.unit_s + self.frame_s

    def locate(self, frame: "VideoFrame", num_before: int) -> tuple[int, float]:
        """Return the number of a frame and its seconds since the first."""
        if not self.stamps or frame.pts is None:
            return num_before, num_before * self.frame_s
        return bisect_left(self.stamps, frame.pts), (frame.pts - self.stamps[0]) * self.unit_s


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
    av = _import_av()
    with _opened(av, path) as (container, stream):
        timeline = _read_timeline(av, container, stream)
    _check_count(path, timeline.num_packets)
    stretches = plan_stretches(timeline.duration_s, fps, num_frames)
    views, previous = [], None
    for candidate in _best_frames(av, path, timeline, stretches):
        thumbnail = _thumbnail(candidate.grey)
        if previous is None or not is_same(thumbnail, previous):
            views.append(_view(candidate, path, name, size, patch, masks))
            previous = thumbnail
        if progress:
            progress(stretches.index_at(candidate.time_s) + 1, stretches.count)
    return views


def _import_av() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise ImportError("videos need PyAV: pip install 'fast3r[media]'") from error
    return av


@contextmanager
def _opened(av: ModuleType, path: Path) -> "Iterator[tuple[InputContainer, VideoStream]]":
    if path.exists() and not path.is_file():
        raise UnreadablePhotoError(f"{path} cannot be read as a video: not a file")
    try:
        # "file:" keeps FFmpeg from reading a name such as "a:b.mp4" as a protocol, and the
        # whitelist keeps a playlist in disguise from reaching the network.
        container = av.open(
            f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace"
        )
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadablePhotoError(f"{path} cannot be read as a video: {error.strerror}") from error
    with container:
        cover = av.stream.Disposition.attached_pic
        streams = [s for s in container.streams.video if not s.disposition & cover]
        if not streams:
            raise UnreadablePhotoError(f"{path} holds no video, only {_kinds(container)}")
        stream = streams[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _kinds(container: "InputContainer") -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"


def _read_timeline(av: ModuleType, container: "InputContainer", stream: "VideoStream") -> _Timeline:
    """Read the stamps of all packets, without decoding them.

    The length that a file claims is wrong where the file was cut short.
    """
    packets = []
    with suppress(av.error.FFmpegError):
        packets.extend((p.pts, p.is_keyframe) for p in container.demux(stream) if p.size)
    stamps = sorted(pts for pts, _ in packets if pts is not None)
    if len(stamps) < len(packets):
        stamps = []
    unit_s = float(stream.time_base or 0)
    rate = stream.average_rate or stream.guessed_rate or 25
    spread_s = (stamps[-1] - stamps[0]) * unit_s if stamps else 0.0
    return _Timeline(
        stamps=stamps,
        key_stamps=[pts for pts, is_key in packets if is_key and pts is not None],
        unit_s=unit_s,
        frame_s=spread_s / (len(stamps) - 1) if spread_s else 1 / float(rate),
        num_packets=len(packets),
    )


def _best_frames(
    av: ModuleType, path: Path, timeline: _Timeline, stretches: Stretches
) -> Iterator[_Candidate]:
    """Yield the best frame of each stretch that has any."""
    best, num_decoded = None, 0
    # One for all frames: setting up takes ten times as long as shrinking.
    shrinker = av.video.reformatter.VideoReformatter()
    with _opened(av, path) as (container, stream):
        stream.codec_context.skip_frame = _skippable(timeline, stretches)
        for frame in _decoded(av, container, stream):
            candidate = _candidate(frame, num_decoded, timeline, stretches, shrinker)
            num_decoded += 1
            if best and stretches.index_at(candidate.time_s) != stretches.index_at(best.time_s):
                yield best
                best = None
            if best is None or candidate.score > best.score:
                best = candidate
    _check_count(path, num_decoded)
    assert best is not None
    yield best


def _check_count(path: Path, num_frames: int) -> None:
    if num_frames < 2:
        raise UnreadablePhotoError(
            f"{path} is damaged or a still image: it has {num_frames} readable frames"
        )


def _skippable(timeline: _Timeline, stretches: Stretches) -> Literal["NONKEY", "NONREF", "DEFAULT"]:
    """Return which frames need no decoding, because each stretch has plenty of others.

    Those are the more compressed ones, so quality does not suffer.
    """
    if not timeline.stamps:
        return "DEFAULT"
    first, unit_s = timeline.stamps[0], timeline.unit_s
    if stretches.min_per_stretch([(s - first) * unit_s for s in timeline.stamps]) < _PLENTY_FRAMES:
        return "DEFAULT"
    keys = stretches.min_per_stretch([(s - first) * unit_s for s in timeline.key_stamps])
    return "NONKEY" if keys >= _PLENTY_KEY_FRAMES else "NONREF"


def _decoded(
    av: ModuleType, container: "InputContainer", stream: "VideoStream"
) -> "Iterator[VideoFrame]":
    """Yield the frames that can be decoded whole, stepping over damaged packets."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            yield from (frame for frame in packet.decode() if not frame.is_corrupt)
        except StopIteration:
            return
        except av.error.FFmpegError:
            continue


def _candidate(
    frame: "VideoFrame",
    num_before: int,
    timeline: _Timeline,
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
    except ValueError as error:
        raise UnreadablePhotoError(f"{path} cannot be used: {error}") from error
    file = PhotoFile(f"{name}/frame_{candidate.number:06d}", path)
    file = file if masks is None else masks.given(file)
    content, kept = masked_content(
        frame.to_image(), None, read_mask(file, resize, 1), resize, orientation
    )
    pixels, mask = pad(content, kept, resize)
    return View(
        pixels=pixels,
        original_from_network=resize.original_from_network,
        name=file.name,
        original_height=height,
        original_width=width,
        mask=mask,
        source=path,
        camera_key=f"video|{name}",
        time_s=candidate.time_s,
    )
