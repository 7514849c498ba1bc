"""scene.ply, written and read."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from fast3r.export import ply
from tests.scenes import make_scene

HEADER = """ply
format binary_little_endian 1.0
element vertex {count}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
property float confidence
end_header
"""


def test_what_is_written_is_read_exactly(tmp_path: Path) -> None:
    cloud = make_scene().point_cloud()
    ply.write_points(cloud, tmp_path / "a.ply")
    found = ply.read_points(tmp_path / "a.ply")
    assert torch.equal(found.points, cloud.points)
    assert torch.equal(found.colors, cloud.colors)
    assert torch.equal(found.confidence, cloud.confidence)


def test_the_header_is_the_promised_one(tmp_path: Path) -> None:
    cloud = make_scene().point_cloud()
    ply.write_points(cloud, tmp_path / "a.ply")
    header = HEADER.format(count=len(cloud)).encode()
    content = (tmp_path / "a.ply").read_bytes()
    assert content.startswith(header)
    assert len(content) == len(header) + 19 * len(cloud)


def test_another_reader_finds_the_same_points(tmp_path: Path) -> None:
    scene = make_scene()
    ply.write(scene, tmp_path / "a.ply")
    found = trimesh.load(tmp_path / "a.ply")
    cloud = scene.point_cloud()
    assert np.array_equal(found.vertices.astype(np.float32), cloud.points.numpy())
    assert np.array_equal(found.colors[:, :3], cloud.colors.numpy())


def test_files_of_other_programs_are_read(tmp_path: Path) -> None:
    vertices = np.array([(1, 2, 3, 7), (4, 5, 6, 8)], dtype="<f8, <f8, <f8, <i2")
    header = b"ply\ncomment x\nformat binary_little_endian 1.0\nobj_info y\nelement vertex 2\n"
    header += b"property double x\nproperty double y\nproperty double z\nproperty short n\n"
    header += b"element face 0\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "a.ply").write_bytes(header + vertices.tobytes())
    found = ply.read_points(tmp_path / "a.ply")
    assert found.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert found.colors is None
    assert found.confidence is None


def test_no_points_make_a_valid_file(tmp_path: Path) -> None:
    empty = make_scene().point_cloud(min_confidence=99.0)
    ply.write_points(empty, tmp_path / "a.ply")
    assert ply.read_points(tmp_path / "a.ply").points.shape == (0, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"glTF", "a.ply is not a PLY file"),
        (b"ply\nformat ascii 1.0\nend_header\n", "not binary little-endian"),
        (b"ply\nformat binary_little_endian 1.0\n", "ends within its header"),
        (b"ply\nformat binary_little_endian 1.0\nend_header\n", "does not begin with its vertices"),
        (HEADER.format(count=3).encode() + b"\0" * 56, "ends too soon: its header promises 3"),
        (HEADER.format(count=1).replace(" x", " u").encode(), "without x, y and z"),
        (
            HEADER.format(count=1).replace("uchar", "list", 1).encode(),
            "unknown kind: property list",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        ply.read_points(tmp_path / "a.ply")
