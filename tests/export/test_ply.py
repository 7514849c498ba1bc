"""scene.ply, read by another reader; tests/properties reads it as it is promised to be."""

from pathlib import Path

import numpy as np
import trimesh

from fast3r.export import ply
from tests.scenes import make_scene


def test_another_reader_finds_the_same_points(tmp_path: Path) -> None:
    scene = make_scene()
    ply.write(scene, tmp_path / "a.ply")
    found = trimesh.load(tmp_path / "a.ply")
    cloud = scene.point_cloud()
    assert np.array_equal(found.vertices.astype(np.float32), cloud.points.numpy())
    assert np.array_equal(found.colors[:, :3], cloud.colors.numpy())
