"""Frames become a film: GIF and WebP by Pillow, MP4 by PyAV."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

from PIL import Image

SUFFIXES = (".gif", ".webp", ".mp4")
"""The formats of `write_movie`."""

_MOST_FRAMES = 3000
_PALETTE_FRAMES = 8
_PALETTE_WIDTH_PX = 320


def check_movie(path: Path, *, seconds: float, count: int) -> None:
    """Make sure that such a film can be written.

    Raises:
        ValueError: The suffix is unknown, or there are the frames are too few or too many.
        ImportError: The format needs an extra that is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ValueError(f"do not know how to write a film as {path.name}; known are {known}")
    if not 2 <= count <= _MOST_FRAMES:
        raise ValueError(f"a film has from 2 to {_MOST_FRAMES} frames, got {count}")
    if not count / 50 <= seconds <= 10 * count:
        raise ValueError(
            f"{count} frames must last from {count / 50:g} to {10 * count} seconds, got {seconds:g}"
        )
    if path.suffix.lower() == ".mp4":
        _require_av()


def write_movie(frames: Iterable[Image.Image], path: Path, *, seconds: float, count: int) -> None:
    """Write frames of one size as a film that repeats; the suffix of its name tells the format.

    Frames of a GIF last whole hundredths of a second. Of an MP4 with odd sides the last row and
    column are left out.

    Args:
        frames: Taken one by one; only those of an MP4 are not held in memory together.
        path: The file.
        seconds: How long one round lasts.
        count: How many frames there are.

    Raises:
        ValueError: The suffix is unknown, or there are the frames are too few or too many.
        ImportError: MP4 needs PyAV, which is not installed.
    """
    check_movie(path, seconds=seconds, count=count)
    suffix = path.suffix.lower()
    if suffix == ".mp4":
        _write_mp4(frames, path, Fraction(count) / Fraction(seconds).limit_denominator(1000))
    elif suffix == ".webp":
        first, rest = _first(frames)
        first.save(
            path,
            save_all=True,
            append_images=rest,
            duration=round(1000 * seconds / count),
            loop=0,
            quality=82,
            method=2,
        )
    else:
        first, rest = _first(_with_common_palette(list(frames)))
        duration = 10 * round(100 * seconds / count)
        first.save(path, save_all=True, append_images=rest, duration=duration, loop=0)


def _first(frames: Iterable[Image.Image]) -> tuple[Image.Image, Iterator[Image.Image]]:
    rest = iter(frames)
    return next(rest), rest


def _with_common_palette(frames: list[Image.Image]) -> Iterator[Image.Image]:
    """Yield the frames in 256 colours, the same for all, so that nothing flickers."""
    step = max(len(frames) // _PALETTE_FRAMES, 1)
    sample = frames[::step]
    width = min(_PALETTE_WIDTH_PX, frames[0].width)
    size = (width, max(round(frames[0].height * width / frames[0].width), 1))
    sheet = Image.new("RGB", (size[0], size[1] * len(sample)))
    for k, frame in enumerate(sample):
        sheet.paste(frame.resize(size, Image.Resampling.NEAREST), (0, k * size[1]))
    palette = sheet.quantize(256, method=Image.Quantize.MEDIANCUT)
    for frame in frames:
        yield frame.quantize(palette=palette, dither=Image.Dither.NONE)


def _require_av() -> None:
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise ImportError("MP4 needs PyAV: pip install 'fast3r[media]'") from error


def _write_mp4(frames: Iterable[Image.Image], path: Path, rate: Fraction) -> None:
    import av
    from av.video.frame import VideoFrame

    first, rest = _first(frames)
    # The usual colour format of players has one colour for each block of 2 x 2 pixels.
    width, height = first.width // 2 * 2, first.height // 2 * 2
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "19"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in chain([first], rest):
            even = image.convert("RGB").crop((0, 0, width, height))
            container.mux(stream.encode(VideoFrame.from_image(even)))
        container.mux(stream.encode())
