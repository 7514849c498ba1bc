import pickle
from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.scannetpp import ScanNetPP
from fast3r.data.frame import BrokenFrameError
from tests.datasets.indoor import write_all_metadata, write_scene_metadata
from tests.datasets.wall import assert_same, photograph_wall, write_millimetres, write_photo

SCENE = "0a5c013435"
PHOTOS = [f"DSC{number:05d}" for number in range(1200, 1230)]
FILM = [f"frame_{number:06d}" for number in range(0, 600, 10)]
# The preprocessing keeps the order of its list of pairs, which is that of neither device.
LISTED = [*FILM[40:], *PHOTOS[::-1], *FILM[:40]]


def write_frame(folder: Path, place: int, name: str) -> None:
    shot = photograph_wall(place)
    write_photo(folder / "images" / f"{name}.jpg", shot.image)
    depth_m = shot.depth_m.copy()
    depth_m[0] = 0  # the mesh has a hole, or somebody was made anonymous
    write_millimetres(folder / "depth" / f"{name}.png", depth_m)


def write_scannetpp(root: Path) -> None:
    """Write what preprocess_scannetpp.py leaves; it keeps COLMAP's pixel centres."""
    shots = [photograph_wall(LISTED.index(name) % 10) for name in LISTED]
    write_scene_metadata(
        root / SCENE,
        LISTED,
        [shot.intrinsics for shot in shots],
        [shot.world_from_camera for shot in shots],
    )
    for name in (PHOTOS[2], FILM[3]):
        write_frame(root / SCENE, LISTED.index(name) % 10, name)
    write_all_metadata(root, {SCENE: LISTED, "036bce3393": ["DSC00001"]})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_scannetpp(tmp_path)
    return tmp_path


def test_scenes_are_those_of_the_index(root: Path) -> None:
    assert ScanNetPP(root).scenes == ("036bce3393", SCENE)


def test_frames_are_in_order_of_capture_device_by_device(root: Path) -> None:
    assert ScanNetPP(root).frames(SCENE) == [*PHOTOS, *FILM]


@pytest.mark.parametrize("name", [PHOTOS[2], FILM[3]])
def test_a_frame_is_read_as_it_was_taken(root: Path, name: str) -> None:
    frame = ScanNetPP(root).read(SCENE, name)
    assert (frame.depth[1:] > 0).all()
    assert (frame.depth[0] == 0).all()
    assert_same(frame, photograph_wall(LISTED.index(name) % 10), depth_tolerance_m=1e-3)


def test_what_is_done_to_a_frame_does_not_reach_the_next(root: Path) -> None:
    dataset = ScanNetPP(root)
    first = dataset.read(SCENE, FILM[3])
    first.intrinsics[:], first.world_from_camera[:] = 0, 0
    assert dataset.read(SCENE, FILM[3]).intrinsics[0, 0] > 0
    assert dataset.read(SCENE, FILM[3]).world_from_camera[3, 3] == 1


def test_views_come_from_one_device_and_close_in_time(root: Path) -> None:
    dataset, dice = ScanNetPP(root), np.random.default_rng(0)
    for _ in range(100):
        names = dataset.draw(SCENE, 6, dice)
        device = next(device for device in (PHOTOS, FILM) if names[0] in device)
        places = [device.index(name) for name in names]
        assert len(set(places)) == 6
        assert max(places) - min(places) < 12


def test_every_frame_is_drawn_and_can_be_first(root: Path) -> None:
    dataset, dice = ScanNetPP(root), np.random.default_rng(0)
    draws = [dataset.draw(SCENE, 6, dice) for _ in range(1500)]
    assert {names[0] for names in draws} == set(LISTED)
    from_film = np.mean([names[0] in FILM for names in draws])
    assert from_film == pytest.approx(len(FILM) / len(LISTED), abs=0.05)


def test_equal_dice_draw_equal_frames(root: Path) -> None:
    dataset = ScanNetPP(root)
    first, second = (dataset.draw(SCENE, 6, np.random.default_rng(5)) for _ in range(2))
    assert first == second


def test_devices_mix_only_where_neither_has_enough_frames(root: Path) -> None:
    dataset, dice = ScanNetPP(root), np.random.default_rng(0)
    assert set(dataset.draw(SCENE, 45, dice)) <= set(FILM)
    mixed = dataset.draw(SCENE, 80, dice)
    assert len(set(mixed)) == 80


@pytest.mark.parametrize("file", ["images/DSC01202.jpg", "depth/DSC01202.png"])
def test_a_missing_file_is_named(root: Path, file: str) -> None:
    (root / SCENE / file).unlink()
    with pytest.raises(BrokenFrameError, match=file):
        ScanNetPP(root).read(SCENE, "DSC01202")


def test_a_scene_without_metadata_is_broken(root: Path) -> None:
    dataset, missing = ScanNetPP(root), r"036bce3393.scene_metadata\.npz"
    with pytest.raises(BrokenFrameError, match=missing):
        dataset.frames("036bce3393")
    with pytest.raises(BrokenFrameError, match=missing):
        dataset.draw("036bce3393", 2, np.random.default_rng(0))


def test_metadata_must_be_of_as_many_frames_each(root: Path) -> None:
    eye = [np.eye(4)] * 2
    write_scene_metadata(root / "036bce3393", PHOTOS[:3], [np.eye(3)] * 3, eye)
    with pytest.raises(BrokenFrameError, match="3 images, 3 intrinsics and 2 trajectories"):
        ScanNetPP(root).frames("036bce3393")


def test_a_scene_that_lists_no_frames_is_broken(root: Path) -> None:
    folder = root / "036bce3393"
    folder.mkdir()
    empty = np.zeros((0, 3, 3))
    np.savez(folder / "scene_metadata.npz", images=[], intrinsics=empty, trajectories=empty)
    with pytest.raises(BrokenFrameError, match="lists no frames"):
        ScanNetPP(root).draw("036bce3393", 2, np.random.default_rng(0))


def test_a_pose_that_is_not_finite_is_broken(root: Path) -> None:
    write_frame(root / "036bce3393", 0, "DSC00001")
    pose = np.full((4, 4), np.nan)
    write_scene_metadata(root / "036bce3393", ["DSC00001"], [np.eye(3)], [pose])
    with pytest.raises(BrokenFrameError, match=r"scene_metadata\.npz"):
        ScanNetPP(root).read("036bce3393", "DSC00001")


def test_a_wrong_root_is_refused_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    with pytest.raises(ValueError, match=r"(?s)ScanNet\+\+.*all_metadata\.npz.*found:\s+metadata/"):
        ScanNetPP(tmp_path)


def test_an_index_without_scenes_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "all_metadata.npz", scenes=np.array([], dtype=str))
    with pytest.raises(ValueError, match=r"all_metadata\.npz lists no scenes"):
        ScanNetPP(tmp_path)


def test_a_copy_in_another_process_reads_the_same(root: Path) -> None:
    dataset = ScanNetPP(root)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy == dataset
    assert copy.frames(SCENE) == dataset.frames(SCENE)
