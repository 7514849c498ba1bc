"""scene.glb, read by another reader."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from fast3r.export import glb
from fast3r.export.framing import framing
from fast3r.geometry.cameras import invert_rigid, project
from fast3r.scene.reconstruction import Reconstruction
from tests.scenes import make_scene, without_cameras


@pytest.fixture
def scene() -> Reconstruction:
    """Three posed views and one without camera."""
    return without_cameras(make_scene(), 1)


def parse(path: Path) -> tuple[dict, bytes]:
    """Return the JSON and the binary chunk of a GLB file."""
    content = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert (kind, size % 4) == (b"JSON", 0)
    binary_size, binary_kind = struct.unpack_from("<I4s", content, 20 + size)
    assert (binary_kind, binary_size % 4) == (b"BIN\0", 0)
    return json.loads(content[20 : 20 + size]), content[28 + size :]


def test_another_reader_finds_the_points_turned_upright(
    scene: Reconstruction, tmp_path: Path
) -> None:
    glb.write(scene, tmp_path / "a.glb")
    loaded = trimesh.load_scene(tmp_path / "a.glb")
    world_from_points, name = loaded.graph["points"]
    found = loaded.geometry[name].vertices @ world_from_points[:3, :3].T
    cloud = scene.point_cloud()
    assert np.array_equal(loaded.geometry[name].vertices.astype("f4"), cloud.points.numpy())
    up = framing(scene, cloud).up.numpy()
    np.testing.assert_allclose(found[:, 1], cloud.points.numpy() @ up, atol=1e-5)
    assert np.linalg.det(world_from_points[:3, :3]) == pytest.approx(1)


def test_the_wall_stands_upright_and_the_cameras_look_forward(
    scene: Reconstruction, tmp_path: Path
) -> None:
    glb.write(scene, tmp_path / "a.glb")
    document, _ = parse(tmp_path / "a.glb")
    gltf_from_world = np.reshape(document["nodes"][0]["matrix"], (4, 4)).T[:3, :3]
    # The scene's y axis points down and its cameras look along z; glTF looks along -z.
    np.testing.assert_allclose(gltf_from_world, np.diag([1, -1, -1]), atol=0.3)


def test_colours_are_linear(scene: Reconstruction, tmp_path: Path) -> None:
    glb.write(scene, tmp_path / "a.glb")
    document, binary = parse(tmp_path / "a.glb")
    accessor = document["accessors"][
        document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    ]
    assert accessor["normalized"]
    view = document["bufferViews"][accessor["bufferView"]]
    rgba = np.frombuffer(binary, "<u2", accessor["count"] * 4, view["byteOffset"]).reshape(-1, 4)
    linear = rgba[:, :3] / 65535
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.array_equal(np.round(srgb * 255), scene.point_cloud().colors.numpy())
    assert (rgba[:, 3] == 65535).all()


def test_each_camera_is_drawn_from_its_centre_to_the_corners_of_its_photo(
    scene: Reconstruction, tmp_path: Path
) -> None:
    glb.write(scene, tmp_path / "a.glb")
    loaded = trimesh.load_scene(tmp_path / "a.glb")
    _, name = loaded.graph["cameras"]
    ends = loaded.geometry[name].vertices
    assert len({tuple(end) for end in ends.round(5)}) == 5 * 3
    for _, view, camera in scene.posed_views():
        corners = glb.frustum(camera, 0.3)
        torch.testing.assert_close(corners[0].float(), camera.world_from_camera[:3, 3])
        pose = invert_rigid(camera.world_from_camera.double())
        pixels, depth = project(corners[1:], camera.intrinsics.double(), pose)
        width, height = view.original_width, view.original_height
        expected = torch.tensor([[0, 0], [width, 0], [width, height], [0, height]])
        torch.testing.assert_close(pixels, expected.double(), atol=1e-2, rtol=0)
        torch.testing.assert_close(depth, torch.full((4,), 0.3).double())


def test_an_empty_cloud_is_refused_with_the_way_out(scene: Reconstruction, tmp_path: Path) -> None:
    empty = scene.point_cloud(min_confidence=99.0)
    with pytest.raises(ValueError, match="no point is left to draw; lower min_confidence"):
        glb.write(scene, tmp_path / "a.glb", cloud=empty)


def test_a_cloud_too_large_for_the_format_is_refused() -> None:
    with pytest.raises(ValueError, match=r"less than 4 GiB, and this cloud needs 4\.0; write"):
        glb._head({}, 2**32 - 8)
