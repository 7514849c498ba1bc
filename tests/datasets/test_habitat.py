import json
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from fast3r.data.datasets.habitat import Habitat
from fast3r.data.frame import BrokenFrameError
from tests.datasets.wall import assert_same, photograph_wall, write_photo

SCENE = "hm3d/00011-1W61QJVDBqe/00000004"
OTHER = "ReplicaCAD_baked_lighting/Baked_sc0_staging_00/00000017"


def write_view(root: Path, view: int) -> None:
    """Write what preprocess_habitat.py renders, depth in half precision."""
    shot = photograph_wall(view)
    write_photo(root / f"{SCENE}_{view}.jpeg", shot.image)
    depth_m = shot.depth_m.astype(np.float16)
    depth_m[-1, -1] = 0  # looks out of a hole of the scan
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"Y": depth_m}) as file:
        file.write(str(root / f"{SCENE}_{view}_depth.exr"))
    write_camera(
        root,
        view,
        camera_intrinsics=shot.integer_centred.tolist(),
        size=[16, 12],
        R_cam2world=shot.world_from_camera[:3, :3].tolist(),
        t_cam2world=shot.world_from_camera[:3, 3].tolist(),
    )


def write_camera(root: Path, view: int, **camera: object) -> None:
    (root / f"{SCENE}_{view}_camera_params.json").write_text(json.dumps(camera))


def write_habitat(root: Path) -> None:
    (root / "Habitat_1000_scenes_train.txt").write_text(f"{SCENE}\n{OTHER}")
    for view in range(1, 6):
        write_view(root, view)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_habitat(tmp_path)
    return tmp_path


def test_scenes_are_the_lines_of_the_list(root: Path) -> None:
    (root / "Habitat_100_scenes_val.txt").write_text(f"{OTHER}\n")
    assert Habitat(root).scenes == (OTHER, SCENE)
    assert Habitat(root, split="val", listed=100).scenes == (OTHER,)


@pytest.mark.parametrize("view", [1, 5])
def test_a_view_is_read_as_it_was_rendered(root: Path, view: int) -> None:
    frame = Habitat(root).read(SCENE, str(view))
    assert frame.name == str(view)
    assert (frame.depth > 0).sum() == frame.depth.size - 1
    # Half precision has 11 bits: 2 mm at 3 m.
    assert_same(frame, photograph_wall(view), depth_tolerance_m=2e-3)


def test_the_first_view_comes_first_as_it_overlaps_with_all(root: Path) -> None:
    dataset, dice = Habitat(root), np.random.default_rng(0)
    draws = [dataset.draw(SCENE, 3, dice) for _ in range(100)]
    assert {names[0] for names in draws} == {"1"}
    assert all(len(set(names)) == 3 for names in draws)
    assert len({tuple(names) for names in draws}) == 12


@pytest.mark.parametrize(("views", "times"), [(1, [1]), (5, [1] * 5), (9, [1, 2, 2, 2, 2])])
def test_views_repeat_only_beyond_five(root: Path, views: int, times: list[int]) -> None:
    names = Habitat(root).draw(SCENE, views, np.random.default_rng(0))
    assert [names.count(name) for name in sorted(set(names))] == times


def test_equal_dice_draw_equal_views(root: Path) -> None:
    dataset = Habitat(root)
    first, second = (dataset.draw(SCENE, 5, np.random.default_rng(5)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("ending", [".jpeg", "_depth.exr", "_camera_params.json"])
def test_a_missing_file_is_named(root: Path, ending: str) -> None:
    (root / f"{SCENE}_2{ending}").unlink()
    with pytest.raises(BrokenFrameError, match=f"00000004_2{ending}"):
        Habitat(root).read(SCENE, "2")


def test_a_pose_that_is_not_finite_is_broken(root: Path) -> None:
    nan = float("nan")
    write_camera(
        root,
        2,
        camera_intrinsics=np.eye(3).tolist(),
        R_cam2world=[[nan] * 3] * 3,
        t_cam2world=[0.0, 0.0, 0.0],
    )
    with pytest.raises(BrokenFrameError, match=r"2_camera_params\.json"):
        Habitat(root).read(SCENE, "2")


def test_a_camera_of_another_form_is_broken(root: Path) -> None:
    write_camera(root, 2, camera_intrinsics=np.eye(3).tolist(), R_cam2world=np.eye(3).tolist())
    with pytest.raises(BrokenFrameError, match=r"2_camera_params\.json: .*t_cam2world"):
        Habitat(root).read(SCENE, "2")


@pytest.mark.parametrize("content", ["[1, 2]", "{", ""])
def test_a_camera_that_is_no_json_object_is_broken(root: Path, content: str) -> None:
    (root / f"{SCENE}_2_camera_params.json").write_text(content)
    with pytest.raises(BrokenFrameError, match=r"2_camera_params\.json: .*expected an object"):
        Habitat(root).read(SCENE, "2")


def test_a_wrong_root_is_refused_with_what_is_there(root: Path) -> None:
    with pytest.raises(
        ValueError, match=r"(?s)Habitat_1000000_scenes_train\.txt.*found:\s+Habitat_1000_scenes"
    ):
        Habitat(root, listed=1_000_000)


def test_a_list_without_scenes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Habitat_1000_scenes_train.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"Habitat_1000_scenes_train\.txt lists no scenes"):
        Habitat(tmp_path)
