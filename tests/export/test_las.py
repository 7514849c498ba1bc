"""scene.laz and .las, read by laspy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fast3r.export import las
from fast3r.geometry.transforms import Similarity
from tests.scenes import make_scene

laspy = pytest.importorskip("laspy")


@pytest.mark.parametrize("suffix", ["las", "laz"])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_points_colours_and_confidences_are_read_back(
    suffix: str, size: float, tmp_path: Path
) -> None:
    similarity = Similarity(torch.tensor(size), torch.eye(3), torch.zeros(3))
    scene = make_scene().transformed(similarity)
    las.write(scene, tmp_path / f"a.{suffix}")
    found, cloud = laspy.read(tmp_path / f"a.{suffix}"), scene.point_cloud()
    np.testing.assert_allclose(found.xyz, cloud.points.numpy(), atol=1e-7 * size)
    rgb = np.stack([found.red, found.green, found.blue], axis=-1)
    assert np.array_equal(rgb, cloud.colors.numpy().astype(np.uint16) * 257)
    assert np.array_equal(found["confidence"], cloud.confidence.numpy())


def test_laz_is_smaller(tmp_path: Path) -> None:
    for name in ("a.las", "a.laz"):
        las.write(make_scene(), tmp_path / name)
    assert (tmp_path / "a.laz").stat().st_size < 0.8 * (tmp_path / "a.las").stat().st_size


def test_no_points_make_a_valid_file(tmp_path: Path) -> None:
    empty = make_scene().point_cloud(min_confidence=99.0)
    las.write(make_scene(), tmp_path / "a.laz", cloud=empty)
    assert len(laspy.read(tmp_path / "a.laz").points) == 0


def test_no_range_of_the_confidence_is_told(tmp_path: Path) -> None:
    las.write(make_scene(), tmp_path / "a.las")
    header = laspy.read(tmp_path / "a.las").header
    assert header.vlrs.get("ExtraBytesVlr")[0].extra_bytes_structs[0].options == 0
