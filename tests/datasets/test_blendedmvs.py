from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.blendedmvs import BlendedMVS, PreprocessedBlendedMVS, open_blendedmvs
from fast3r.data.frame import BrokenFrameError
from tests.datasets.preprocessed import linked, write_exr
from tests.datasets.wall import Shot, assert_same, photograph_wall, write_photo

SCENE = "5a3ca9cb270f0e3f14d0eddb"
HELD_OUT = "5a3ca9cb270f0e3f14d0edd6"
# The last 16 digits of the name are a number divisible by ten.
assert int(HELD_OUT[8:], 16) % 10 == 0
PAIRS = {0: [1, 2], 1: [0], 2: [0, 3], 3: [2], 4: []}


def name(number: int) -> str:
    return f"{number:08d}"


def write_camera(
    folder: Path, number: int, shot: Shot, *, depth_range: str = "1.5 0.02 128.0 4.06"
) -> None:
    rows = [" ".join(f"{x:.9g}" for x in row) for row in np.linalg.inv(shot.world_from_camera)]
    intrinsics = [" ".join(str(x) for x in row) for row in shot.intrinsics]
    path = folder / "cams" / f"{name(number)}_cam.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["extrinsic", *rows, "", "intrinsic", *intrinsics, "", depth_range]
    path.write_text(" \n".join(lines) + " \n")


def write_scene(folder: Path) -> None:
    for number in PAIRS:
        shot = photograph_wall(number)
        write_camera(folder, number, shot)
        write_photo(folder / f"blended_images/{name(number)}.jpg", shot.image)
        write_photo(folder / f"blended_images/{name(number)}_masked.jpg", shot.image * 0)
        depth = folder / f"rendered_depth_maps/{name(number)}.pfm"
        depth.parent.mkdir(exist_ok=True)
        depth.write_bytes(b"Pf\n16 12\n-1.0\n" + shot.depth_m[::-1].astype("<f4").tobytes())
    lines = [str(len(PAIRS))]
    for number, others in PAIRS.items():
        lines += [str(number), " ".join([str(len(others)), *[f"{n} 870.5" for n in others]])]
    (folder / "cams/pair.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_scene(tmp_path / SCENE)
    (tmp_path / "BlendedMVS_training.txt").write_text(SCENE)
    return tmp_path


def write_preprocessed(root: Path) -> None:
    kind = [("seq_high", "<u4"), ("seq_low", "<u8"), ("img1", "<i4"), ("img2", "<i4")]
    pairs = [
        (int(scene[:8], 16), int(scene[8:], 16), a, b, 0.5)
        for scene in (SCENE, HELD_OUT)
        for a, b in [(0, 1), (2, 0), (3, 2), (12, 3)]
    ]
    np.save(root / "blendedmvs_pairs.npy", np.array(pairs, dtype=[*kind, ("score", "<f4")]))
    for scene in (SCENE, HELD_OUT):
        for number in (0, 1, 2, 3, 12):
            shot = photograph_wall(number)
            stem = root / scene / name(number)
            write_photo(Path(f"{stem}.jpg"), shot.image)
            write_exr(Path(f"{stem}.exr"), shot.depth_m)
            np.savez(
                f"{stem}.npz",
                intrinsics=shot.integer_centred,
                R_cam2world=shot.world_from_camera[:3, :3],
                t_cam2world=shot.world_from_camera[:3, 3],
            )


@pytest.fixture
def preprocessed(tmp_path: Path) -> Path:
    write_preprocessed(tmp_path)
    return tmp_path


def test_a_tenth_of_the_scenes_is_for_validation(root: Path) -> None:
    write_scene(root / HELD_OUT)
    write_scene(root / "my_own_scene")
    assert BlendedMVS(root).scenes == (SCENE, "my_own_scene")
    assert BlendedMVS(root, "val").scenes == (HELD_OUT,)


def test_frames_are_listed_in_the_file_of_pairs(root: Path) -> None:
    assert BlendedMVS(root).frames(SCENE) == [name(n) for n in range(5)]


@pytest.mark.parametrize("number", [0, 3])
def test_a_frame_is_read_as_it_was_taken(root: Path, number: int) -> None:
    frame = BlendedMVS(root).read(SCENE, name(number))
    assert frame.name == name(number)
    assert_same(frame, photograph_wall(number), depth_tolerance_m=1e-5)


def test_views_overlap_directly_or_through_others(root: Path) -> None:
    dataset, dice = BlendedMVS(root), np.random.default_rng(0)
    links = [(name(a), name(b)) for a, others in PAIRS.items() for b in others]
    draws = [dataset.draw(SCENE, 3, dice) for _ in range(100)]
    assert all(len(set(names)) == 3 and linked(names, links) for names in draws)
    assert {names[0] for names in draws} == {name(n) for n in range(4)}


def test_equal_dice_draw_equal_frames(root: Path) -> None:
    first, second = (BlendedMVS(root).draw(SCENE, 3, np.random.default_rng(5)) for _ in "ab")
    assert first == second


def test_frames_with_an_off_centre_principal_point_are_not_drawn(root: Path) -> None:
    shot = photograph_wall(3)
    shot.intrinsics[0, 2] = 16 * 0.8
    write_camera(root / SCENE, 3, shot)
    dataset, dice = BlendedMVS(root), np.random.default_rng(0)
    drawn = {frame for _ in range(50) for frame in dataset.draw(SCENE, 3, dice)}
    assert drawn == {name(n) for n in (0, 1, 2)}


@pytest.mark.parametrize("depth_range", ["0 0.1 128.0 0", "-3 0.1 128.0 -1", "1.5 0.1"])
def test_frames_without_depth_are_not_drawn(root: Path, depth_range: str) -> None:
    write_camera(root / SCENE, 1, photograph_wall(1), depth_range=depth_range)
    dataset, dice = BlendedMVS(root), np.random.default_rng(0)
    assert name(1) not in {frame for _ in range(50) for frame in dataset.draw(SCENE, 3, dice)}


def test_no_view_sees_ten_times_as_far_as_the_first(root: Path) -> None:
    write_camera(root / SCENE, 3, photograph_wall(3), depth_range="1 1 128.0 41")
    dataset, dice = BlendedMVS(root), np.random.default_rng(0)
    draws = [dataset.draw(SCENE, 3, dice) for _ in range(100)]
    assert all(name(3) in (names[0], "") for names in draws if name(3) in names)
    assert any(name(3) in names for names in draws)


def test_no_two_views_differ_a_hundredfold_in_range(root: Path) -> None:
    write_camera(root / SCENE, 3, photograph_wall(3), depth_range="1 1 128.0 410")
    dataset, dice = BlendedMVS(root), np.random.default_rng(0)
    assert name(3) not in {frame for _ in range(50) for frame in dataset.draw(SCENE, 3, dice)}


def test_a_scene_whose_ranges_never_fit_is_broken(root: Path) -> None:
    for number in (1, 3):
        range_of_it = f"1 1 128.0 {10.0 ** (3 * number)}"
        write_camera(root / SCENE, number, photograph_wall(number), depth_range=range_of_it)
    with pytest.raises(BrokenFrameError, match=r"differ too much: in 20 draws of 4, none kept"):
        BlendedMVS(root).draw(SCENE, 4, np.random.default_rng(0))


def test_a_scene_without_usable_frames_tells_why(root: Path) -> None:
    for number in PAIRS:
        write_camera(root / SCENE, number, photograph_wall(number), depth_range="0 0 128.0 0")
    with pytest.raises(BrokenFrameError, match=r"no frame can be used; the first: .*depth range"):
        BlendedMVS(root).draw(SCENE, 2, np.random.default_rng(0))


@pytest.mark.parametrize(
    "file",
    ["blended_images/00000001.jpg", "rendered_depth_maps/00000001.pfm", "cams/00000001_cam.txt"],
)
def test_a_missing_file_is_named(root: Path, file: str) -> None:
    (root / SCENE / file).unlink()
    with pytest.raises(BrokenFrameError, match=f"{file}: no such file"):
        BlendedMVS(root).read(SCENE, name(1))


@pytest.mark.parametrize("content", ["", "3\n", "3\nzero\n1 1 870.5\n"])
def test_a_broken_list_of_pairs_is_named(root: Path, content: str) -> None:
    (root / SCENE / "cams/pair.txt").write_text(content)
    with pytest.raises(BrokenFrameError, match=r"pair\.txt: .*expected"):
        BlendedMVS(root).frames(SCENE)


def test_preprocessed_frames_are_read_as_they_were_taken(preprocessed: Path) -> None:
    frame = PreprocessedBlendedMVS(preprocessed).read(SCENE, name(12))
    assert_same(frame, photograph_wall(12), depth_tolerance_m=1e-5)


def test_preprocessed_scenes_are_named_like_the_published_ones(preprocessed: Path) -> None:
    assert PreprocessedBlendedMVS(preprocessed).scenes == (SCENE,)
    assert PreprocessedBlendedMVS(preprocessed, "val").scenes == (HELD_OUT,)


def test_preprocessed_views_overlap(preprocessed: Path) -> None:
    dataset, dice = PreprocessedBlendedMVS(preprocessed), np.random.default_rng(0)
    links = [(name(a), name(b)) for a, b in [(0, 1), (2, 0), (3, 2), (12, 3)]]
    draws = [dataset.draw(SCENE, 3, dice) for _ in range(50)]
    assert all(len(set(names)) == 3 and linked(names, links) for names in draws)


def test_frames_of_large_numbers_take_no_more_memory(preprocessed: Path) -> None:
    path = preprocessed / "blendedmvs_pairs.npy"
    pairs = np.load(path)
    pairs["img2"][0] = 2**31 - 1
    np.save(path, pairs)
    frames = PreprocessedBlendedMVS(preprocessed).frames(SCENE)
    assert frames == [*(name(n) for n in (0, 2, 3, 12)), "2147483647"]


def test_a_preprocessed_pose_of_another_shape_is_broken(preprocessed: Path) -> None:
    path = preprocessed / SCENE / "00000000.npz"
    np.savez(path, intrinsics=np.eye(3), R_cam2world=np.eye(4), t_cam2world=np.zeros(3))
    with pytest.raises(BrokenFrameError, match=r"shapes \(4, 4\) and \(3,\); expected \(3, 3\)"):
        PreprocessedBlendedMVS(preprocessed).read(SCENE, name(0))


def test_the_layout_that_is_there_is_opened(root: Path) -> None:
    assert isinstance(open_blendedmvs(root), BlendedMVS)


def test_the_preprocessed_layout_is_known_by_its_pairs(preprocessed: Path) -> None:
    dataset = open_blendedmvs(preprocessed, "val")
    assert isinstance(dataset, PreprocessedBlendedMVS)
    assert dataset.scenes == (HELD_OUT,)


def test_a_wrong_root_is_refused_with_both_layouts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)cams/pair\.txt.*blendedmvs_pairs\.npy.*an empty"):
        open_blendedmvs(tmp_path)
