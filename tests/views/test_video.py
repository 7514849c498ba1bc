import os
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from fast3r.views import video
from fast3r.views.load import load_views
from fast3r.views.video import read_video

from .pictures import UNTURNS, dots, found_dots, noise, save_all

av = pytest.importorskip("av")

WIDE = noise(96, 400).filter(ImageFilter.GaussianBlur(1))


def pan(count: int, step: int = 3) -> list[Image.Image]:
    """Return frames of a camera that moves sideways."""
    return [WIDE.crop((step * i, 0, step * i + 128, 96)) for i in range(count)]


def write(
    path: Path,
    frames: Sequence[Image.Image],
    *,
    rate: int = 10,
    times_ms: Sequence[int] | None = None,
    gop: int = 12,
    codec: str = "libx264",
    title: str = "",
) -> Path:
    """Write a video, at a constant rate or with these times."""
    with av.open(str(path), "w") as container:
        container.metadata["title"] = title
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = gop
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "10"}
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_image(picture)
            frame.time_base = Fraction(1, 1000)
            frame.pts = times_ms[index] if times_ms else index * 1000 // rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbers(views: Sequence[object]) -> list[int]:
    return [int(view.name[-6:]) for view in views]  # pyright: ignore


def test_the_whole_video_is_used_at_the_rate_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "walk 1.mp4", pan(50))
    views = load_views(path, fps=2, size=128)
    assert len(views) == 10
    assert all(view.name.startswith("walk 1/frame_0000") for view in views)
    assert all(a // 5 == b for b, a in enumerate(numbers(views)))


def test_the_number_of_frames_can_be_given(tmp_path: Path) -> None:
    views = load_views(write(tmp_path / "a.mp4", pan(50)), num_frames=5, size=128)
    assert [number // 10 for number in numbers(views)] == [0, 1, 2, 3, 4]


def test_by_default_two_frames_per_second_are_kept(tmp_path: Path) -> None:
    assert len(load_views(write(tmp_path / "a.mp4", pan(40)), size=128)) == 8


def test_a_view_knows_its_time_and_shares_the_camera_of_its_video(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", pan(30))
    views = load_views(path, fps=2, size=64)
    assert {view.camera_key for view in views} == {"video|a"}
    assert {view.source for view in views} == {path}
    for view, number in zip(views, numbers(views), strict=True):
        assert view.time_s == pytest.approx(number / 10, abs=1e-3)
        assert (view.original_height, view.original_width) == (96, 128)
        assert (view.height, view.width) == (48, 64)


def test_a_kept_frame_shows_what_was_filmed(tmp_path: Path) -> None:
    frames = pan(20)
    for view in load_views(write(tmp_path / "a.mp4", frames), fps=2, size=128):
        truth = torch.from_numpy(np.array(frames[int(view.name[-6:])]))
        assert (view.pixels.float() - truth.float()).abs().mean() < 6


@pytest.mark.parametrize("gop", [2, 12, 300])
def test_the_sharpest_frame_of_a_stretch_is_kept(tmp_path: Path, gop: int) -> None:
    frames = [frame.filter(ImageFilter.GaussianBlur(2)) for frame in pan(40)]
    sharp = [4, 18, 20, 36]
    for number in sharp:
        frames[number] = pan(40)[number]
    views = load_views(write(tmp_path / "a.mp4", frames, gop=gop), fps=1, size=128)
    assert numbers(views) == sharp


def test_frames_of_equal_sharpness_are_kept_from_the_middle(tmp_path: Path) -> None:
    frames = [WIDE.crop((40 * (i % 2), 0, 40 * (i % 2) + 128, 96)) for i in range(40)]
    path = write(tmp_path / "a.mp4", frames, gop=1)
    for number in numbers(load_views(path, num_frames=4, size=128)):
        assert 3 <= number % 10 <= 7


def test_frames_that_repeat_are_left_out(tmp_path: Path) -> None:
    frames = [*pan(1) * 20, *pan(20)]
    views = load_views(write(tmp_path / "a.mp4", frames), fps=2, size=128)
    assert len(views) == 1 + 4
    assert numbers(views)[0] < 5


def test_a_variable_frame_rate_is_sampled_by_time(tmp_path: Path) -> None:
    slow, fast = [500 * i for i in range(8)], [4000 + 50 * i for i in range(40)]
    path = write(tmp_path / "a.mp4", pan(48), times_ms=slow + fast)
    views = load_views(path, fps=1, size=128)
    times = [view.time_s for view in views]
    assert [int(time) for time in times if time is not None] == [0, 1, 2, 3, 4, 5]


# Rows (a, b), (c, d), (x, y) of ISO/IEC 14496-12, section 6.2.2, in units of width and height.
MATRICES = {
    1: ((1, 0), (0, 1), (0, 0)),
    3: ((-1, 0), (0, -1), ("w", "h")),
    6: ((0, 1), (-1, 0), ("h", 0)),
    8: ((0, -1), (1, 0), (0, "w")),
}


def set_matrix(path: Path, orientation: int, width: int, height: int) -> None:
    """Write the display matrix that a phone held in this way writes."""
    sides = {"w": width, "h": height}
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    values = [
        fixed
        for row, last in zip(MATRICES[orientation], (0, 0, 1 << 30), strict=True)
        for fixed in (*(sides.get(v, v) * 65536 for v in row), last)
    ]
    content[start : start + 36] = struct.pack(">9i", *values)
    path.write_bytes(content)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_video_is_turned_upright_as_its_matrix_asks(tmp_path: Path, orientation: int) -> None:
    upright, positions = dots(240, 160)
    stored = upright.transpose(UNTURNS[orientation]) if orientation > 1 else upright
    path = write(tmp_path / "a.mp4", [stored] * 4)
    set_matrix(path, orientation, *stored.size)
    view = load_views(path, size=128)[0]
    assert (view.original_height, view.original_width) == (240, 160)
    np.testing.assert_allclose(found_dots(view), positions, atol=1)


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.avi", "a.ts"])
def test_other_containers_are_read(tmp_path: Path, name: str) -> None:
    codec = {"a.webm": "libvpx", "a.avi": "mpeg4"}.get(name, "libx264")
    path = write(tmp_path / name, pan(30), codec=codec)
    views = read_video(path, "a", size=128, patch=16, fps=2)
    assert [number // 5 for number in numbers(views)] == [0, 1, 2, 3, 4, 5]


def test_of_a_video_cut_short_the_rest_is_used(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", pan(60), gop=5)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    views = load_views(path, fps=2, size=128)
    assert 4 <= len(views) <= 7


def test_what_follows_a_defect_is_used(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", pan(60), gop=5)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 500] = bytes(500)
    path.write_bytes(content)
    assert numbers(load_views(path, fps=2, size=128))[-1] >= 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as a video"),
        (b"no video at all, just text", "cannot be read as a video"),
    ],
)
def test_a_file_that_is_no_video_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.mp4 {message}"):
        load_views(tmp_path / "a.mp4")


def test_a_title_in_an_unknown_encoding_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", pan(4), title="a title")
    path.write_bytes(path.read_bytes().replace(b"a title", b"\xe9\xff\xfe\x80\xc3 t"))
    assert load_views(path, size=64)


def test_a_video_that_lost_its_index_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", pan(20))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"a\.mp4 (cannot be read as a video|is damaged)"):
        load_views(path)


def test_a_single_frame_is_no_video(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", pan(1))
    with pytest.raises(ValueError, match="damaged or a still image: it has 1 readable frames"):
        load_views(path)


def test_a_file_with_sound_only_is_an_error(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="holds no video, only audio"):
        load_views(tmp_path / "a.mp4")


def test_frames_have_the_masks_that_are_named_like_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", pan(5))
    names = [view.name for view in load_views(path, size=64)]
    keep = np.zeros((48, 64), np.uint8)
    keep[:, :32] = 255
    for name in names:
        file = tmp_path / "masks" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(keep).save(file)
    views = load_views(path, size=64, masks=tmp_path / "masks")
    assert [view.name for view in views] == names
    for view in views:
        assert view.mask is not None
        assert view.mask[:, : view.width // 2 - 1].all()
        assert not view.mask[:, view.width // 2 + 1 :].any()


def test_masks_of_other_frames_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", pan(5))
    (tmp_path / "masks").mkdir()
    Image.new("L", (64, 48), 255).save(tmp_path / "masks" / "frame_000000.png")
    with pytest.raises(ValueError, match=r"named like a photo, such as a/frame_00000\d\.png"):
        load_views(path, masks=tmp_path / "masks")


def test_photos_and_videos_can_be_listed_together(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", pan(10))
    photos = save_all(tmp_path, "b.jpg", height=96, width=128)
    views = load_views([path, *photos], num_frames=2, size=128)
    assert [view.name.split("_")[0] for view in views] == ["b.jpg", "a/frame", "a/frame"]


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    path = write(tmp_path / "a.mp4", pan(20))
    load_views(path, num_frames=4, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_without_its_reader_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.mp4", pan(3))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install 'fast3r\[media\]'"):
        load_views(path)


@pytest.mark.parametrize(("gop", "skipped"), [(2, "NONKEY"), (300, "NONREF")])
def test_frames_that_are_not_needed_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gop: int, skipped: str
) -> None:
    asked: list[str] = []
    plain = video._skippable
    monkeypatch.setattr(video, "_skippable", lambda *a: asked.append(plain(*a)) or asked[-1])
    path = write(tmp_path / "a.mp4", pan(130, step=2), gop=gop)
    assert len(load_views(path, num_frames=2, size=128)) == 2
    assert asked == [skipped]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"a\.mp4 cannot be read as a video: not a file"):
        load_views(tmp_path / "a.mp4")
