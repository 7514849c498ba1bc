"""Films in the formats of the world."""

import math
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from fast3r.viz.movies import check_movie, write_movie


def clip(count: int, *, width: int = 64, height: int = 48) -> list[Image.Image]:
    """Return frames in which a red square wanders over a grey ground."""
    frames = []
    for k in range(count):
        frame = np.full((height, width, 3), 240, np.uint8)
        frame[10:30, 2 * k : 2 * k + 20] = (220, 20, 20)
        frames.append(Image.fromarray(frame))
    return frames


def read(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Return the frames of a GIF or WebP and how many seconds each lasts."""
    frames, seconds = [], []
    with Image.open(path) as film:
        assert film.info["loop"] == 0
        for k in range(film.n_frames):
            film.seek(k)
            frames.append(np.array(film.convert("RGB")))
            seconds.append(film.info["duration"] / 1000)
    return frames, seconds


@pytest.mark.parametrize(("suffix", "tolerance"), [(".gif", 6), (".webp", 40)])
def test_a_film_shows_its_frames_for_their_time_and_repeats(
    tmp_path: Path, suffix: str, tolerance: int
) -> None:
    frames = clip(5)
    write_movie(frames, tmp_path / f"film{suffix}", seconds=1.0, count=5)
    shown, seconds = read(tmp_path / f"film{suffix}")
    assert len(shown) == 5
    assert sum(seconds) == pytest.approx(1.0, abs=0.01)
    for frame, picture in zip(frames, shown, strict=True):
        assert np.abs(np.asarray(frame).astype(int) - picture).mean() < tolerance / 10


@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 49)])
def test_an_mp4_has_every_frame_at_even_size(tmp_path: Path, width: int, height: int) -> None:
    frames = clip(6, width=width, height=height)
    write_movie(iter(frames), tmp_path / "film.mp4", seconds=0.5, count=6)
    with av.open(str(tmp_path / "film.mp4")) as film:
        stream = film.streams.video[0]
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
        assert stream.average_rate == 12
    assert len(shown) == 6
    for frame, picture in zip(frames, shown, strict=True):
        assert picture.shape == (48, 64, 3)
        assert np.abs(np.asarray(frame)[:48, :64].astype(int) - picture).mean() < 10


def test_frames_of_an_mp4_are_drawn_one_at_a_time(tmp_path: Path) -> None:
    drawn: list[weakref.ref[Image.Image]] = []

    def frames() -> Iterator[Image.Image]:
        for image in map(Image.Image.copy, clip(8)):
            drawn.append(weakref.ref(image))
            assert sum(held() is not None for held in drawn) <= 3
            yield image

    write_movie(frames(), tmp_path / "film.mp4", seconds=1, count=8)
    assert len(drawn) == 8


def test_colours_of_a_gif_do_not_flicker(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    ground = np.stack([np.tile(ramp, (48, 1))] * 3, axis=-1)
    frames = []
    for k in range(4):
        frame = ground.copy()
        frame[:8, 16 * k : 16 * k + 8] = (200, 60 * k, 0)
        frames.append(Image.fromarray(frame))
    write_movie(frames, tmp_path / "film.gif", seconds=1, count=4)
    shown, _ = read(tmp_path / "film.gif")
    assert all(np.array_equal(picture[8:], shown[0][8:]) for picture in shown)
    assert np.abs(shown[0][8:].astype(int) - ground[8:]).max() <= 6


def test_the_same_frames_make_the_same_file(tmp_path: Path) -> None:
    for name in ("one.gif", "two.gif"):
        write_movie(clip(4), tmp_path / name, seconds=1, count=4)
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "two.gif").read_bytes()


def test_a_film_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"film.avi; known are .gif, .webp, .mp4"):
        write_movie(clip(2), tmp_path / "film.avi", seconds=1, count=2)


@pytest.mark.parametrize("count", [-1, 0, 1, 3001])
def test_films_of_too_few_or_too_many_frames_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"from 2 to 3000 frames, got {count}"):
        check_movie(Path("film.gif"), seconds=1, count=count)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.1, 101.0, math.nan, math.inf])
def test_films_too_fast_or_too_slow_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"10 frames must last from 0.2 to 100 seconds"):
        check_movie(Path("film.gif"), seconds=seconds, count=10)


def test_an_mp4_without_pyav_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"fast3r\[media\]"):
        check_movie(Path("film.mp4"), seconds=1, count=10)
