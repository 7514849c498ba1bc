"""A video file: when its frames are, and decoding them, with PyAV.

Time is read from the frames' own stamps, so a variable frame rate does no harm.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fast3r.views.decode import UnreadablePhotoError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Skipped = Literal["NONKEY", "NONREF", "DEFAULT"]
"""Frames that are not decoded: all but key frames, those that no other is made from, or none."""


@dataclass(frozen=True)
class Timeline:
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
        return self.time_s(self.stamps[-1]) + self.frame_s

    def time_s(self, stamp: int) -> float:
        """Return the seconds from the first frame to a stamp."""
        return (stamp - self.stamps[0]) * self.unit_s

    def locate(self, frame: "VideoFrame", num_before: int) -> tuple[int, float]:
        """Return the number of a frame and its seconds since the first."""
        if not self.stamps or frame.pts is None:
            return num_before, num_before * self.frame_s
        return bisect_left(self.stamps, frame.pts), self.time_s(frame.pts)


def read_timeline(path: Path) -> Timeline:
    """Return the stamps of all packets, without decoding them.

    The length that a file claims is wrong where the file was cut short.

    Raises:
        UnreadablePhotoError: The file holds no video, or fewer than two packets of one.
        ImportError: PyAV is not installed.
    """
    with _opened(path) as (container, stream):
        from av.error import FFmpegError

        packets = []
        with suppress(FFmpegError):
            packets.extend((p.pts, p.is_keyframe) for p in container.demux(stream) if p.size)
        unit_s = float(stream.time_base or 0)
        rate = stream.average_rate or stream.guessed_rate or 25
    _check_count(path, len(packets))
    stamps = sorted(pts for pts, _ in packets if pts is not None)
    if len(stamps) < len(packets):
        stamps = []
    spread_s = (stamps[-1] - stamps[0]) * unit_s if stamps else 0.0
    return Timeline(
        stamps=stamps,
        key_stamps=[pts for pts, is_key in packets if is_key and pts is not None],
        unit_s=unit_s,
        frame_s=spread_s / (len(stamps) - 1) if spread_s else 1 / float(rate),
        num_packets=len(packets),
    )


def decoded_frames(path: Path, skipped: Skipped) -> "Iterator[VideoFrame]":
    """Yield the frames that can be decoded whole, stepping over damaged packets.

    Raises:
        UnreadablePhotoError: There are fewer than two of them.
    """
    count = 0
    with _opened(path) as (container, stream):
        stream.codec_context.skip_frame = skipped
        for frame in _decoded(container, stream):
            count += 1
            yield frame
    _check_count(path, count)


@contextmanager
def _opened(path: Path) -> "Iterator[tuple[InputContainer, VideoStream]]":
    try:
        import av
        from av.error import FFmpegError
        from av.stream import Disposition
    except ImportError as error:
        raise ImportError("videos need PyAV: pip install 'fast3r[media]'") from error
    if path.exists() and not path.is_file():
        raise UnreadablePhotoError(f"{path} cannot be read as a video: not a file")
    try:
        # "file:" keeps FFmpeg from reading a name such as "a:b.mp4" as a protocol, and the
        # whitelist keeps a playlist in disguise from reaching the network.
        container = av.open(
            f"file:{path}", options={"protocol_whitelist": "file"}, **_any_encoding(av.__version__)
        )
    except (FFmpegError, OSError) as error:
        raise UnreadablePhotoError(f"{path} cannot be read as a video: {error.strerror}") from error
    with container:
        videos = container.streams.video
        streams = [s for s in videos if not s.disposition & Disposition.attached_pic]
        if not streams:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise UnreadablePhotoError(f"{path} holds no video, only {kinds}")
        stream = streams[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _any_encoding(version: str) -> dict[str, Any]:
    """Return how PyAV of a version is told to bear titles that are no UTF-8; 19 does so anyway."""
    return {"metadata_errors": "replace"} if int(version.partition(".")[0]) < 19 else {}


def _decoded(container: "InputContainer", stream: "VideoStream") -> "Iterator[VideoFrame]":
    from av.error import FFmpegError

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            yield from (frame for frame in packet.decode() if not frame.is_corrupt)
        except StopIteration:
            return
        except FFmpegError:
            continue


def _check_count(path: Path, num_frames: int) -> None:
    if num_frames < 2:
        raise UnreadablePhotoError(
            f"{path} is damaged or a still image: it has {num_frames} readable frames"
        )
