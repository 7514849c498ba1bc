import pickle
from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.megadepth import MegaDepth
from fast3r.data.frame import BrokenFrameError
from tests.datasets.preprocessed import linked, write_exr, write_frame
from tests.datasets.wall import assert_same, photograph_wall

PAIR = np.dtype([("scene_id", "<i8"), ("im1_id", "<i8"), ("im2_id", "<i8"), ("score", "<f8")])
SCENES = ["0000 0", "0001 1", "0015 0", "0099 0"]
PHOTOS = [f"{number}_o.jpg" for number in range(8)]
# The first scene falls apart in a chain of five photos and a pair.
CHAIN = [(0, 1), (2, 1), (2, 3), (4, 3)]
PAIRS = [(0, 5, 6), *[(0, *pair) for pair in CHAIN], (1, 0, 7), (2, 2, 3), (3, 0, 1)]


def write_pairs(root: Path, pairs: list[tuple[int, int, int]] = PAIRS) -> None:
    np.savez(
        root / "megadepth_pairs.npz",
        scenes=np.array(SCENES),
        images=np.array(PHOTOS),
        pairs=np.array([(*pair, 0.5) for pair in pairs], dtype=PAIR),
    )


def write_megadepth(root: Path) -> None:
    """All scenes but the last, which was not downloaded."""
    write_pairs(root)
    for scene, number in [("0000/0", 0), ("0000/0", 1), ("0001/1", 7), ("0015/0", 2)]:
        write_frame(root / scene / PHOTOS[number], photograph_wall(number))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_megadepth(tmp_path)
    return tmp_path


def test_scenes_are_the_listed_ones_that_are_there(root: Path) -> None:
    assert MegaDepth(root).scenes == ("0000/0", "0001/1")


def test_two_landmarks_are_kept_for_validation(root: Path) -> None:
    assert MegaDepth(root, "val").scenes == ("0015/0",)


def test_frames_are_the_photos_of_the_pairs(root: Path) -> None:
    assert MegaDepth(root).frames("0000/0") == PHOTOS[:7]
    assert MegaDepth(root).frames("0001/1") == [PHOTOS[0], PHOTOS[7]]


@pytest.mark.parametrize("number", [0, 1])
def test_a_frame_is_read_as_it_was_taken(root: Path, number: int) -> None:
    frame = MegaDepth(root).read("0000/0", PHOTOS[number])
    assert frame.name == PHOTOS[number]
    assert_same(frame, photograph_wall(number), depth_tolerance_m=1e-5)


def test_what_is_no_depth_is_unknown(root: Path) -> None:
    depth = photograph_wall(0).depth_m.copy()
    depth[0, :3] = np.nan, -1, 0
    write_exr(root / "0000/0" / f"{PHOTOS[0]}.exr", depth)
    frame = MegaDepth(root).read("0000/0", PHOTOS[0])
    np.testing.assert_array_equal(frame.depth == 0, ~(depth > 0))


def test_views_overlap_directly_or_through_others(root: Path) -> None:
    dataset, dice = MegaDepth(root), np.random.default_rng(0)
    links = [(PHOTOS[a], PHOTOS[b]) for a, b in CHAIN]
    draws = [dataset.draw("0000/0", 3, dice) for _ in range(100)]
    assert all(len(set(names)) == 3 and linked(names, links) for names in draws)
    assert {names[0] for names in draws} == set(PHOTOS[:5])


def test_equal_dice_draw_equal_frames(root: Path) -> None:
    first, second = (MegaDepth(root).draw("0000/0", 3, np.random.default_rng(5)) for _ in "ab")
    assert first == second


def test_frames_repeat_only_where_not_enough_are_connected(root: Path) -> None:
    drawn = MegaDepth(root).draw("0001/1", 5, np.random.default_rng(0))
    assert sorted(drawn.count(name) for name in (PHOTOS[0], PHOTOS[7])) == [2, 3]


@pytest.mark.parametrize("suffix", ["jpg", "exr", "npz"])
def test_a_missing_file_is_named(root: Path, suffix: str) -> None:
    (root / "0000/0" / f"{PHOTOS[0]}.{suffix}").unlink()
    with pytest.raises(BrokenFrameError, match=rf"0_o\.jpg\.{suffix}: no such file"):
        MegaDepth(root).read("0000/0", PHOTOS[0])


def test_a_depth_map_of_another_size_is_broken(root: Path) -> None:
    write_exr(root / "0000/0" / f"{PHOTOS[0]}.exr", np.ones((6, 8)))
    with pytest.raises(BrokenFrameError, match=r"photo has 16x12 px and its depth map 8x6 px"):
        MegaDepth(root).read("0000/0", PHOTOS[0])


def test_the_list_of_pairs_may_have_the_name_that_dust3r_gives_it(root: Path) -> None:
    before = MegaDepth(root).scenes
    (root / "megadepth_pairs.npz").rename(root / "all_metadata.npz")
    assert MegaDepth(root).scenes == before


def test_a_wrong_root_is_refused_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "phoenix").mkdir()
    expected = r"(?s)MegaDepth after DUSt3R's.*megadepth_pairs\.npz.*found:\s+phoenix/"
    with pytest.raises(ValueError, match=expected):
        MegaDepth(tmp_path)


def test_pairs_without_frames_are_refused(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    with pytest.raises(ValueError, match=r"(?s)expected:.*found:\s+megadepth_pairs\.npz"):
        MegaDepth(tmp_path)


def test_a_split_without_scenes_is_refused(root: Path) -> None:
    write_pairs(root, PAIRS[:-2])
    with pytest.raises(ValueError, match=r"none of the scenes .* 'val' is there"):
        MegaDepth(root, "val")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((9, 0, 1), "less than 4 scenes and 8 frames"),
        ((0, 8, 1), "less than 4 scenes and 8 frames"),
        ((0, 0, -1), "whole numbers, none below 0"),
    ],
)
def test_pairs_of_unknown_photos_are_refused(
    root: Path, pair: tuple[int, int, int], message: str
) -> None:
    write_pairs(root, [*PAIRS, pair])
    with pytest.raises(BrokenFrameError, match=message):
        MegaDepth(root)


@pytest.mark.parametrize("pairs", [np.zeros((0, 4)), np.zeros((5, 2)), np.zeros(4), np.zeros(())])
def test_a_list_of_another_form_is_refused(root: Path, pairs: np.ndarray) -> None:
    path = root / "megadepth_pairs.npz"
    np.savez(path, scenes=np.array(SCENES), images=np.array(PHOTOS), pairs=pairs)
    with pytest.raises(BrokenFrameError, match=r"pairs\.npz: pairs have .*3 columns or more"):
        MegaDepth(root)


def test_a_copy_in_another_process_draws_the_same(root: Path) -> None:
    dataset = MegaDepth(root)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.scenes == dataset.scenes
    assert copy.frames("0000/0") == dataset.frames("0000/0")
