from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.waymo import Waymo
from fast3r.data.frame import BrokenFrameError
from tests.datasets.preprocessed import (
    FRAMES,
    PAIRS,
    SEGMENTS,
    linked,
    write_exr,
    write_waymo,
)
from tests.datasets.wall import assert_same, photograph_wall


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_waymo(tmp_path)
    return tmp_path


def test_segments_whose_number_ends_in_zero_are_for_validation(root: Path) -> None:
    assert Waymo(root).scenes == tuple(SEGMENTS[:2])
    assert Waymo(root, "val").scenes == tuple(SEGMENTS[2:])


def test_frames_are_in_order_of_capture(root: Path) -> None:
    assert Waymo(root).frames(SEGMENTS[0]) == ["00000_1", "00000_2", "00001_1", "00007_1"]


@pytest.mark.parametrize("place", [0, 2])
def test_a_frame_is_read_as_it_was_taken(root: Path, place: int) -> None:
    frame = Waymo(root).read(SEGMENTS[0], FRAMES[place])
    assert frame.name == FRAMES[place]
    assert_same(frame, photograph_wall(place), depth_tolerance_m=1e-5)


def test_depth_is_known_only_where_the_lidar_has_a_point(root: Path) -> None:
    depth = np.zeros((12, 16))
    depth[5, 7] = 12.5
    write_exr(root / SEGMENTS[0] / "00000_1.exr", depth)
    frame = Waymo(root).read(SEGMENTS[0], "00000_1")
    assert frame.depth is not None
    np.testing.assert_array_equal(frame.depth, depth)


def test_views_overlap_directly_or_through_others(root: Path) -> None:
    dataset, dice = Waymo(root), np.random.default_rng(0)
    links = [(FRAMES[a], FRAMES[b]) for segment, a, b in PAIRS if segment == 0]
    draws = [dataset.draw(SEGMENTS[0], 3, dice) for _ in range(50)]
    assert all(linked(names, links) for names in draws)
    assert {name for names in draws for name in names} == set(dataset.frames(SEGMENTS[0]))


def test_a_frame_without_any_lidar_point_is_broken(root: Path) -> None:
    write_exr(root / SEGMENTS[0] / "00000_1.exr", np.zeros((12, 16)))
    with pytest.raises(BrokenFrameError, match=r"00000_1\.npz: its depth map is empty"):
        Waymo(root).read(SEGMENTS[0], "00000_1")


def test_a_wrong_root_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)waymo_pairs\.npz.*<segment>\.tfrecord/00000_1\.jpg"):
        Waymo(tmp_path / "nowhere")
