from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.static_things import StaticThings3D
from fast3r.data.frame import BrokenFrameError
from tests.datasets.preprocessed import linked, write_exr, write_frame
from tests.datasets.wall import assert_same, photograph_wall, write_photo

PAIR = np.dtype(
    [
        ("scene", "S1"),
        ("seq", "<i8"),
        ("cam1", "S1"),
        ("im1", "<i8"),
        ("cam2", "S1"),
        ("im2", "<i8"),
    ]
)
PAIRS = [
    (b"A", 3, b"l", 6, b"r", 6),
    (b"A", 3, b"r", 6, b"r", 7),
    (b"A", 3, b"l", 15, b"r", 7),
    (b"C", 3, b"l", 6, b"l", 7),
    (b"C", 10, b"l", 6, b"l", 7),
]
LINKS = [("left/0006", "right/0006"), ("right/0006", "right/0007"), ("left/0015", "right/0007")]


def write_static_things(root: Path) -> None:
    np.save(root / "staticthings_pairs.npy", np.array(PAIRS, dtype=PAIR))
    for scene in ("A/0003", "C/0003", "C/0010"):
        stem = root / "TRAIN" / scene / "left/0006"
        write_frame(stem, photograph_wall(0), photo="{}_clean.jpg")
        write_photo(stem.with_name("0006_final.jpg"), 255 - photograph_wall(0).image)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_static_things(tmp_path)
    return tmp_path


def test_scenes_whose_number_ends_in_zero_are_for_validation(root: Path) -> None:
    assert StaticThings3D(root).scenes == ("A/0003", "C/0003")
    assert StaticThings3D(root, "val").scenes == ("C/0010",)


def test_every_camera_has_two_frames(root: Path) -> None:
    assert StaticThings3D(root).frames("C/0003") == [
        "left/0006_clean",
        "left/0006_final",
        "left/0007_clean",
        "left/0007_final",
    ]


def test_a_frame_is_read_as_it_was_taken(root: Path) -> None:
    frame = StaticThings3D(root).read("A/0003", "left/0006_clean")
    assert_same(frame, photograph_wall(0), depth_tolerance_m=1e-5)


def test_both_renderings_share_depth_and_camera(root: Path) -> None:
    dataset = StaticThings3D(root)
    clean, final = (dataset.read("A/0003", f"left/0006_{look}") for look in ("clean", "final"))
    np.testing.assert_array_equal(clean.depth, final.depth)
    np.testing.assert_array_equal(clean.world_from_camera, final.world_from_camera)
    assert np.abs(clean.image.astype(int) + final.image - 255).max() < 6


def test_the_backdrop_has_no_depth(root: Path) -> None:
    depth = photograph_wall(0).depth_m.copy()
    depth[:4] = 250
    write_exr(root / "TRAIN/A/0003/left/0006.exr", depth)
    frame = StaticThings3D(root).read("A/0003", "left/0006_clean")
    np.testing.assert_array_equal(frame.depth == 0, depth > 200)


def test_views_are_of_cameras_that_overlap(root: Path) -> None:
    dataset, dice = StaticThings3D(root), np.random.default_rng(0)
    draws = [dataset.draw("A/0003", 3, dice) for _ in range(60)]
    cameras = [[name.rpartition("_")[0] for name in names] for names in draws]
    assert all(len(set(names)) == 3 and linked(names, LINKS) for names in cameras)


def test_clean_and_final_renderings_are_drawn_equally_often(root: Path) -> None:
    dataset, dice = StaticThings3D(root), np.random.default_rng(0)
    drawn = [name for _ in range(100) for name in dataset.draw("A/0003", 4, dice)]
    assert 160 < sum(name.endswith("clean") for name in drawn) < 240


def test_equal_dice_draw_equal_frames(root: Path) -> None:
    dataset = StaticThings3D(root)
    first, second = (dataset.draw("A/0003", 3, np.random.default_rng(5)) for _ in "ab")
    assert first == second


def test_a_missing_rendering_is_named(root: Path) -> None:
    (root / "TRAIN/A/0003/left/0006_final.jpg").unlink()
    with pytest.raises(BrokenFrameError, match=r"left.0006_final\.jpg: no such file"):
        StaticThings3D(root).read("A/0003", "left/0006_final")


def test_a_wrong_root_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)staticthings_pairs\.npy.*TRAIN/A/0000/left/0006"):
        StaticThings3D(tmp_path)
