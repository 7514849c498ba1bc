import subprocess
import sys
from pathlib import Path

import pytest

from fast3r.data.catalog import DATASETS, open_dataset
from fast3r.data.dataset import Dataset
from fast3r.data.datasets.waymo import Waymo
from tests.datasets.preprocessed import SEGMENTS, write_waymo


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_refuses_a_folder_of_another_layout(name: str, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ValueError, match=r"(?s)is not laid out as.*expected:.*found:\s+holiday"):
        open_dataset(name, tmp_path)


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_says_that_its_folder_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing: there is no such folder"):
        open_dataset(name, tmp_path / "lost")


def test_a_dataset_is_opened_by_its_name(tmp_path: Path) -> None:
    write_waymo(tmp_path)
    dataset = open_dataset("waymo", tmp_path)
    assert dataset == Waymo(tmp_path)
    assert isinstance(dataset, Dataset)


def test_options_reach_the_dataset(tmp_path: Path) -> None:
    write_waymo(tmp_path)
    assert open_dataset("waymo", tmp_path, split="val").scenes == tuple(SEGMENTS[2:])


def test_an_unknown_name_is_refused_with_those_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no dataset 'kitti'; known are arkitscenes, blended"):
        open_dataset("kitti", tmp_path)


def test_an_unknown_option_is_refused_with_those_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"waymo has no option 'splits'; it has split"):
        open_dataset("waymo", tmp_path, splits="val")


@pytest.mark.parametrize("name", ["waymo", "co3d", "arkitscenes", "blendedmvs"])
def test_a_split_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    expected = rf"split of the dataset {name} must be 'train' or '\w+', got 'all'"
    with pytest.raises(ValueError, match=expected):
        open_dataset(name, tmp_path, split="all")


def test_the_catalog_imports_no_dataset() -> None:
    program = (
        "import sys, fast3r.data.catalog as c;"
        "print([m for m in sys.modules if m.startswith('fast3r.data.datasets.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n"
