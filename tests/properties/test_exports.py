"""What is written is read again, whatever the names, poses and counts."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fast3r.camera_files.cameras_json import read_cameras
from fast3r.camera_files.colmap import read_colmap
from fast3r.camera_files.colmap_reader import read_model
from fast3r.camera_files.records import CameraRecord
from fast3r.camera_files.transforms_json import read_transforms
from fast3r.export import cameras_json, colmap, ply, transforms_json
from fast3r.geometry.cameras import Camera
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction
from tests.ply_points import read_points
from tests.properties.given import generators, intrinsics, names, poses
from tests.scene.test_archive import same
from tests.scenes import make_scene

# The type checks of these tests look at random items, inside strategies too.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

KINDS = ("landscape", "portrait", "cropped")


@st.composite
def scenes(draw: st.DrawFn, *, one_kind: bool = False) -> Reconstruction:
    """Return a scene of one to three views, of any names, with and without cameras."""
    count = draw(st.integers(1, 3))
    made = make_scene(("landscape",) * count if one_kind else KINDS[:count])
    called = draw(st.lists(names(), min_size=count, max_size=count, unique=True))
    cameras: list[Camera | None] = [
        replace(
            camera,
            intrinsics=draw(intrinsics(camera.height, camera.width)).float() * _NO_SKEW,
            world_from_camera=draw(poses()).float(),
        )
        for camera in made.cameras
        if camera is not None
    ]
    lost = draw(st.sets(st.integers(1, 3)))
    cameras = [None if i in lost else camera for i, camera in enumerate(cameras)]
    views = [replace(view, name=name) for view, name in zip(made.views, called, strict=True)]
    failures = [None if camera else "lost" for camera in cameras]
    return replace(made, views=views, cameras=cameras, failures=failures)


_NO_SKEW = torch.tensor([[1.0, 0, 1], [0, 1, 1], [0, 0, 1]])


@st.composite
def clouds(draw: st.DrawFn, views: int = 1) -> PointCloud:
    """Return a cloud of any number of points, none among them."""
    count, generator = draw(st.sampled_from([0, 0, 1, 2, 50])), draw(generators())
    return PointCloud(
        points=100 * torch.randn(count, 3, generator=generator),
        colors=torch.randint(0, 256, (count, 3), generator=generator).to(torch.uint8),
        confidence=1 + torch.rand(count, generator=generator),
        view_index=torch.randint(0, views, (count,), generator=generator),
        pixel=1000 * torch.rand(count, 2, generator=generator),
    )


def assert_cameras(records: Sequence[CameraRecord], scene: Reconstruction, atol: float) -> None:
    found = {record.name: record for record in records}
    posed = scene.posed_views()
    assert set(found) == {view.name for _, view, _ in posed}
    for _, view, camera in posed:
        record = found[view.name]
        _close(record.calibration.intrinsics, camera.intrinsics, 1e-6)
        _close(record.world_from_camera, camera.world_from_camera, atol)
        assert record.calibration.size == (camera.width, camera.height)


def _close(found: np.ndarray, wanted: Tensor, atol: float) -> None:
    np.testing.assert_allclose(found, wanted.double().numpy(), rtol=1e-6, atol=atol)


@given(clouds())
def test_points_come_back_from_ply(tmp_path: Path, cloud: PointCloud) -> None:
    ply.write_points(cloud, tmp_path / "a.ply")
    back = read_points(tmp_path / "a.ply")
    assert torch.equal(back.points, cloud.points)
    assert torch.equal(back.colors, cloud.colors)
    assert torch.equal(back.confidence, cloud.confidence)


@given(scenes(), st.data())
def test_cameras_come_back_from_a_binary_model(
    tmp_path: Path, scene: Reconstruction, data: st.DataObject
) -> None:
    cloud = data.draw(clouds(len(scene.views)))
    colmap.write(scene, tmp_path, cloud=cloud)
    # A quaternion of the float32 rotation makes an exact one of it.
    assert_cameras(read_colmap(tmp_path), scene, 1e-3)
    assert len(read_model(tmp_path).points.ids) <= len(cloud)


@given(scenes(), st.data())
def test_cameras_come_back_from_a_text_model_or_the_name_is_refused(
    tmp_path: Path, scene: Reconstruction, data: st.DataObject
) -> None:
    cloud = data.draw(clouds(len(scene.views)))
    names = [view.name for _, view, _ in scene.posed_views()]
    spaced = [name for name in names if re.search(r"\s", name) or not name]
    if spaced:
        with pytest.raises(ValueError, match=r"cannot hold the name .* or write the binary model"):
            colmap.write_as_text(scene, tmp_path / "text", cloud=cloud)
        return
    colmap.write_as_text(scene, tmp_path / "text", cloud=cloud)
    colmap.write(scene, tmp_path / "binary", cloud=cloud)
    assert_cameras(read_colmap(tmp_path / "text"), scene, 1e-3)
    text, binary = read_model(tmp_path / "text"), read_model(tmp_path / "binary")
    # The binary file has the points by the length of their tracks.
    order = [model.points.ids.argsort() for model in (text, binary)]
    assert torch.equal(text.points.positions[order[0]], binary.points.positions[order[1]])
    assert torch.equal(text.points.colors[order[0]], binary.points.colors[order[1]])
    assert same(list(text.images.values()), list(binary.images.values()))


@given(scenes(one_kind=True))
def test_cameras_come_back_from_transforms_json(tmp_path: Path, scene: Reconstruction) -> None:
    transforms_json.write(scene, tmp_path / "transforms.json")
    records = read_transforms(tmp_path / "transforms.json", photo_size=_never)
    assert_cameras(records, scene, 1e-6)


def _never(name: str) -> tuple[int, int]:
    raise AssertionError(name)


@given(scenes())
def test_cameras_come_back_from_cameras_json(tmp_path: Path, scene: Reconstruction) -> None:
    cameras_json.write(scene, tmp_path / "cameras.json")
    assert_cameras(read_cameras(tmp_path / "cameras.json"), scene, 0)


@settings(max_examples=15)
@given(scenes())
def test_a_whole_scene_comes_back_bit_by_bit(tmp_path: Path, scene: Reconstruction) -> None:
    scene.save(tmp_path / "scene.npz")
    assert same(Reconstruction.load(tmp_path / "scene.npz"), scene)
