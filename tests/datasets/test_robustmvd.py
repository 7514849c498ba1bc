import pickle
from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.robustmvd import RobustMvd
from tests.datasets.evaluation_sets import rmvd, shots, small_camera, write_robustmvd

TAKEN = shots(3, small_camera(24, 36), 24, 36)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_robustmvd(tmp_path, TAKEN, key=1)
    return tmp_path


def test_the_key_view_comes_first_and_has_depth(root: Path) -> None:
    dataset = RobustMvd(root, "eth3d")
    assert dataset.scenes == ("000",)
    assert dataset.frames("000") == ["1", "0", "2"]
    frame = dataset.read("000", "1")
    np.testing.assert_array_equal(frame.image, TAKEN[1].image)
    np.testing.assert_allclose(frame.depth, TAKEN[1].depth_m, rtol=1e-6)
    np.testing.assert_allclose(frame.intrinsics, TAKEN[1].intrinsics, rtol=1e-6)
    np.testing.assert_allclose(frame.world_from_camera, TAKEN[1].world_from_camera, atol=1e-9)
    assert dataset.read("000", "0").depth is None


def test_a_missing_list_is_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected:\n +dtu.robustmvd.mvd.pickle"):
        RobustMvd(tmp_path, "dtu")


def test_a_list_never_runs_code(tmp_path: Path) -> None:
    (tmp_path / "eth3d.robustmvd.mvd.pickle").write_bytes(pickle.dumps([print]))
    with pytest.raises(ValueError, match=r"no list of samples .* wants builtins.print"):
        RobustMvd(tmp_path, "eth3d")


def test_a_list_that_remembers_more_than_it_says_takes_no_memory(tmp_path: Path) -> None:
    content = b"]r\xff\xff\xff\x7f."  # an empty list, to be remembered as number 2**31 - 1
    (tmp_path / "eth3d.robustmvd.mvd.pickle").write_bytes(content)
    with pytest.raises(ValueError, match="it remembers something as number 2147483647"):
        RobustMvd(tmp_path, "eth3d")


def test_a_list_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "eth3d.robustmvd.mvd.pickle").write_bytes(pickle.dumps([{"a": 1}]))
    with pytest.raises(ValueError, match="no list of samples of RobustMVD"):
        RobustMvd(tmp_path, "eth3d")


def test_a_sample_with_fewer_cameras_than_photos_is_refused(tmp_path: Path) -> None:
    with rmvd() as (sample_class, path_class):
        sample = sample_class()
        sample.base = "x"
        sample.data = {
            "images": [path_class("a"), path_class("b")],
            "poses": [np.eye(4)],
            "intrinsics": [np.eye(3)],
            "depth": path_class("d"),
        }
        content = pickle.dumps([sample])
    (tmp_path / "eth3d.robustmvd.mvd.pickle").write_bytes(content)
    with pytest.raises(ValueError, match=r"lists of unequal lengths: \[1, 2\]"):
        RobustMvd(tmp_path, "eth3d")
