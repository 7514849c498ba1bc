import numpy as np
import pytest
import torch

from fast3r.data.frame import Frame
from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.generate import generate
from fast3r.geometry.cameras import unproject
from fast3r.viz.sample_sheet import SheetRow, frames_of, sample_sheet

GREY = (200, 200, 200)


def a_frame(
    color: tuple[int, int, int], depth: np.ndarray | None, height: int = 30, width: int = 40
) -> Frame:
    image = np.full((height, width, 3), color, np.uint8)
    return Frame("a", image, depth, np.eye(3), np.eye(4))


def ramp(height: int = 30, width: int = 40) -> np.ndarray:
    return np.tile(np.linspace(1, 9, width, dtype=np.float32), (height, 1))


def test_photos_stand_side_by_side_above_their_depth() -> None:
    frames = [a_frame((255, 0, 0), ramp()), a_frame((0, 0, 255), ramp())]
    sheet = sample_sheet([SheetRow("", frames)], height=60)
    assert sheet.getpixel((40, 40)) == (255, 0, 0)
    assert sheet.getpixel((120, 40)) == (0, 0, 255)
    near, far = (sum(sheet.getpixel((x, 120))) for x in (3, 75))
    assert near > 500 > 100 > far


def test_photos_keep_their_shape() -> None:
    frames = [a_frame((255, 0, 0), None, 30, 60), a_frame((0, 255, 0), None, 60, 30)]
    sheet = np.asarray(sample_sheet([SheetRow("", frames)], height=60))
    for color, size in (((255, 0, 0), 120 * 60), ((0, 255, 0), 30 * 60)):
        assert (sheet == color).all(-1).sum() == size


def test_samples_stand_one_below_the_other() -> None:
    rows = [SheetRow("", [a_frame((9, 9, 9), None)]), SheetRow("", [a_frame((8, 8, 8), None)] * 3)]
    single, both = (sample_sheet(part, height=60) for part in (rows[:1], rows))
    assert both.height == 2 * single.height
    assert both.width > 2 * single.width


def test_depth_has_the_same_colours_throughout_a_sample() -> None:
    near, far = ramp(), np.full_like(ramp(), 9)
    frames = [a_frame((0, 0, 0), near), a_frame((0, 0, 0), far)]
    sheet = sample_sheet([SheetRow("", frames)], height=60)
    assert sheet.getpixel((100, 120)) == sheet.getpixel((79, 120))


def test_a_stray_depth_does_not_take_the_colours_of_all_others() -> None:
    depth = ramp()
    depth[3, 3] = 1e-3
    sheets = [
        np.asarray(sample_sheet([SheetRow("", [a_frame((0, 0, 0), d)])], height=60)).astype(int)
        for d in (ramp(), depth)
    ]
    assert len(np.unique(sheets[1][120], axis=0)) > 30
    assert np.abs(sheets[0][120] - sheets[1][120]).max() < 20


def test_unknown_depth_is_grey() -> None:
    depth = ramp()
    depth[:, :20] = 0
    sheet = sample_sheet([SheetRow("", [a_frame((0, 0, 0), depth)])], height=60)
    assert sheet.getpixel((20, 120)) == GREY
    assert sheet.getpixel((60, 120)) != GREY


def test_a_sample_without_any_depth_is_drawn() -> None:
    unknown = a_frame((0, 0, 0), np.zeros((30, 40), np.float32))
    sheet = sample_sheet([SheetRow("", [unknown])], height=60)
    assert sheet.getpixel((40, 120)) == GREY


@pytest.mark.parametrize("caption", ["scene: 0001", "Zürich/庭"])
def test_a_caption_is_written_above(caption: str) -> None:
    blank, named = (
        np.asarray(sample_sheet([SheetRow(text, [a_frame((0, 0, 0), None)])], height=60))
        for text in ("", caption)
    )
    rows = np.flatnonzero((blank != named).any((1, 2)))
    assert 0 < len(rows) <= 18 > rows.max()


def test_frames_of_a_sample_have_its_points() -> None:
    sample = generate(ProceduralConfig(), batch=2, views=2, height=24, width=32, seed=0)
    sample.valid[1, 0, :5] = False
    frames = frames_of(sample)
    assert [len(views) for views in frames] == [2, 2]
    frame = frames[1][0]
    assert frame.depth is not None
    parts = (frame.depth, frame.intrinsics, frame.world_from_camera)
    points = unproject(*(torch.from_numpy(part)[None] for part in parts))[0]
    valid = sample.valid[1, 0]
    torch.testing.assert_close(points[valid], sample.points[1, 0][valid], atol=1e-3, rtol=1e-3)
    assert ((frame.depth > 0) == valid.numpy()).all()
    np.testing.assert_allclose(frame.image / 255, sample.images[1, 0].movedim(0, -1), atol=0.003)
