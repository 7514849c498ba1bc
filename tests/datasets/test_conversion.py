import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.data.conversion import (
    Converted,
    convert_colmap,
    convert_transforms,
    read_colmap_depth,
)
from fast3r.data.datasets.posed_rgbd import PosedRgbd
from fast3r.geometry.transforms import quaternion_from_matrix
from tests.datasets.room import HEIGHT, WIDTH, depth_of_walls, look

CAMERAS = {f"shot_{i}.png": look(0.3 * i, 0.1, turn_deg=5.0 * i) for i in range(3)}
PINHOLE = f"1 PINHOLE {WIDTH} {HEIGHT} 40 40 {WIDTH / 2} {HEIGHT / 2}"


def _photo(index: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return np.stack([3 * x, 5 * y, np.full_like(x, 40 * index)], -1).astype(np.uint8)


def _depth(name: str) -> np.ndarray:
    return depth_of_walls(CAMERAS[name], (4.0,))


def _write_photos(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for index, name in enumerate(CAMERAS):
        Image.fromarray(_photo(index)).save(folder / name)
    return folder


def _write_model(folder: Path, camera: str = PINHOLE) -> Path:
    """Write a text model of COLMAP in which one photo has no pose."""
    folder.mkdir()
    lines = []
    for key, (name, shot) in enumerate(CAMERAS.items(), start=1):
        camera_from_world = torch.from_numpy(np.linalg.inv(shot.world_from_camera))
        quaternion = quaternion_from_matrix(camera_from_world[:3, :3]).tolist()
        numbers = [*quaternion, *camera_from_world[:3, 3].tolist()]
        lines += [f"{key} {' '.join(map(str, numbers))} 1 {name}", ""]
    (folder / "cameras.txt").write_text(camera + "\n")
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    (folder / "points3D.txt").write_text("")
    return folder


def _write_transforms(folder: Path, **changes: object) -> Path:
    """Write what nerfstudio would: OpenGL axes, intrinsics once, depth in millimetres."""
    _write_photos(folder / "images")
    (folder / "depths").mkdir()
    frames = []
    for name, camera in CAMERAS.items():
        Image.fromarray(np.round(1000 * _depth(name)).astype(np.uint16)).save(
            folder / "depths" / name
        )
        matrix = camera.world_from_camera @ np.diag([1.0, -1, -1, 1])
        frames.append(
            {
                "file_path": f"images/{name}",
                "depth_file_path": f"depths/{name}",
                "transform_matrix": matrix.tolist(),
            }
        )
    document = {
        "camera_model": "OPENCV",
        "w": WIDTH,
        "h": HEIGHT,
        "fl_x": 40.0,
        "fl_y": 40.0,
        "cx": WIDTH / 2,
        "cy": HEIGHT / 2,
        "k1": 0.0,
        "frames": frames,
    }
    path = folder / "transforms.json"
    path.write_text(json.dumps(document | changes))
    return path


def _check_cameras(output: Path, *, with_depth: bool) -> None:
    dataset = PosedRgbd(output)
    assert dataset.frames(".") == list(CAMERAS)
    for index, (name, camera) in enumerate(CAMERAS.items()):
        frame = dataset.read(".", name)
        np.testing.assert_array_equal(frame.image, _photo(index))
        np.testing.assert_allclose(frame.intrinsics, camera.intrinsics, atol=1e-9)
        np.testing.assert_allclose(frame.world_from_camera, camera.world_from_camera, atol=1e-9)
        assert (frame.depth is not None) == with_depth
        if frame.depth is not None:
            np.testing.assert_allclose(frame.depth, _depth(name), atol=6e-4)


def test_a_colmap_model_becomes_the_same_cameras(tmp_path: Path) -> None:
    photos, model = _write_photos(tmp_path / "photos"), _write_model(tmp_path / "sparse")
    assert convert_colmap(model, photos, tmp_path / "out") == Converted(3, 0)
    _check_cameras(tmp_path / "out", with_depth=False)


def test_depth_that_colmap_computed_comes_along(tmp_path: Path) -> None:
    photos, model = _write_photos(tmp_path / "photos"), _write_model(tmp_path / "sparse")
    depth = tmp_path / "depth_maps"
    depth.mkdir()
    for name in CAMERAS:
        header = f"{WIDTH}&{HEIGHT}&1&".encode()
        (depth / f"{name}.geometric.bin").write_bytes(header + _depth(name).tobytes())
        (depth / f"{name}.photometric.bin").write_bytes(b"of less worth")
    assert convert_colmap(model, photos, tmp_path / "out", depth=depth) == Converted(3, 3)
    _check_cameras(tmp_path / "out", with_depth=True)


def test_depth_of_a_sensor_comes_along_with_its_scale(tmp_path: Path) -> None:
    photos, model = _write_photos(tmp_path / "photos"), _write_model(tmp_path / "sparse")
    (tmp_path / "depth").mkdir()
    name = "shot_1.png"
    Image.fromarray(np.round(_depth(name) * 5000).astype(np.uint16)).save(tmp_path / "depth" / name)
    found = convert_colmap(
        model, photos, tmp_path / "out", depth=tmp_path / "depth", depth_scale=1 / 5000
    )
    assert found == Converted(3, 1)
    read = PosedRgbd(tmp_path / "out").read(".", name).depth
    np.testing.assert_allclose(read, _depth(name), atol=2e-4)


def test_transforms_become_the_same_cameras_and_depth(tmp_path: Path) -> None:
    path = _write_transforms(tmp_path / "capture")
    assert convert_transforms(path, tmp_path / "out") == Converted(3, 3)
    _check_cameras(tmp_path / "out", with_depth=True)


def test_a_field_of_view_stands_for_the_focal_length(tmp_path: Path) -> None:
    path = _write_transforms(tmp_path / "capture")
    document = json.loads(path.read_text())
    for key in ("fl_x", "fl_y", "cx", "cy", "w", "h", "camera_model"):
        del document[key]
    document["camera_angle_x"] = 2 * np.arctan(WIDTH / 2 / 40)
    for frame in document["frames"]:
        frame["file_path"] = "./" + frame["file_path"].removesuffix(".png")
    path.write_text(json.dumps(document))
    convert_transforms(path, tmp_path / "out")
    _check_cameras(tmp_path / "out", with_depth=True)


def test_a_frame_may_have_intrinsics_of_its_own(tmp_path: Path) -> None:
    path = _write_transforms(tmp_path / "capture")
    document = json.loads(path.read_text())
    document["frames"][1]["fl_x"] = 55.0
    path.write_text(json.dumps(document))
    convert_transforms(path, tmp_path / "out")
    focals = [PosedRgbd(tmp_path / "out").read(".", name).intrinsics[0, 0] for name in CAMERAS]
    assert focals == [40, 55, 40]


def test_a_photo_that_exif_would_turn_keeps_the_pixels_that_its_camera_counts(
    tmp_path: Path,
) -> None:
    photos, model = _write_photos(tmp_path / "photos"), _write_model(tmp_path / "sparse")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(_photo(0)).save(photos / "shot_0.png", exif=exif)
    convert_colmap(model, photos, tmp_path / "out")
    _check_cameras(tmp_path / "out", with_depth=False)


@pytest.mark.parametrize(
    "camera",
    [
        f"1 OPENCV {WIDTH} {HEIGHT} 40 40 32 24 0.1 0 0 0",
        f"1 OPENCV_FISHEYE {WIDTH} {HEIGHT} 40 40 32 24 0 0 0 0",
    ],
)
def test_distorted_cameras_of_colmap_are_refused_with_the_way_out(
    tmp_path: Path, camera: str
) -> None:
    photos, model = _write_photos(tmp_path / "photos"), _write_model(tmp_path / "sparse", camera)
    with pytest.raises(ValueError, match=r"shot_0.png has a distorted camera .*image_undistorter"):
        convert_colmap(model, photos, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_lens_of_colmap_without_distortion_is_a_pinhole(tmp_path: Path) -> None:
    camera = f"1 SIMPLE_RADIAL {WIDTH} {HEIGHT} 40 32 24 0"
    photos, model = _write_photos(tmp_path / "photos"), _write_model(tmp_path / "sparse", camera)
    convert_colmap(model, photos, tmp_path / "out")
    _check_cameras(tmp_path / "out", with_depth=False)


@pytest.mark.parametrize("change", [{"k1": 0.1}, {"p2": -0.01}, {"camera_model": "OPENCV_FISHEYE"}])
def test_distorted_cameras_of_transforms_are_refused(tmp_path: Path, change: dict) -> None:
    path = _write_transforms(tmp_path / "capture", **change)
    with pytest.raises(ValueError, match=r"distorted camera .*undistort the photos first"):
        convert_transforms(path, tmp_path / "out")


def test_a_model_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no COLMAP model that can be read"):
        convert_colmap(tmp_path, tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    "document", ["[]", "{", '{"frames": [{"file_path": "images/shot_0.png"}]}']
)
def test_transforms_that_are_none_are_refused(tmp_path: Path, document: str) -> None:
    path = _write_transforms(tmp_path / "capture")
    path.write_text(document)
    with pytest.raises(ValueError, match="expected frames with file_path"):
        convert_transforms(path, tmp_path / "out")


def test_a_photo_of_another_size_than_its_camera_is_refused(tmp_path: Path) -> None:
    photos, model = _write_photos(tmp_path / "photos"), _write_model(tmp_path / "sparse")
    Image.fromarray(_photo(0)[::2, ::2]).save(photos / "shot_2.png")
    with pytest.raises(ValueError, match=r"shot_2\.png has 32x24 px, but its camera 64x48"):
        convert_colmap(model, photos, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_photo_or_depth_map_is_named(tmp_path: Path) -> None:
    path = _write_transforms(tmp_path / "capture")
    (tmp_path / "capture" / "depths" / "shot_1.png").unlink()
    with pytest.raises(ValueError, match=r"shot_1.png is missing: the depth map"):
        convert_transforms(path, tmp_path / "out")
    (tmp_path / "capture" / "images" / "shot_1.png").unlink()
    with pytest.raises(ValueError, match=r"shot_1.png cannot be read: no such file"):
        convert_transforms(path, tmp_path / "out")


def test_a_pose_that_is_not_rigid_is_refused(tmp_path: Path) -> None:
    path = _write_transforms(tmp_path / "capture")
    document = json.loads(path.read_text())
    document["frames"][2]["transform_matrix"] = (2 * np.eye(4)).tolist()
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"shot_2\.png has an impossible camera"):
        convert_transforms(path, tmp_path / "out")


def test_a_folder_that_holds_something_is_not_written_into(tmp_path: Path) -> None:
    path = _write_transforms(tmp_path / "capture")
    with pytest.raises(ValueError, match="holds something already"):
        convert_transforms(path, tmp_path / "capture")


def test_colmap_depth_is_read_row_by_row_without_what_is_no_depth(tmp_path: Path) -> None:
    depth = np.array([[1, 2, 3], [np.nan, -1, 6]], np.float32)
    (tmp_path / "a.bin").write_bytes(b"3&2&1&" + depth.tobytes())
    np.testing.assert_array_equal(read_colmap_depth(tmp_path / "a.bin"), [[1, 2, 3], [0, 0, 6]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing", "starts with b'nothing'"),
        (b"3&2&3&" + bytes(72), "expected b'width&height&1&'"),
        (b"3&2&1&" + bytes(20), "has 20 bytes of values; expected 24"),
    ],
)
def test_other_files_are_no_colmap_depth(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_colmap_depth(tmp_path / "a.bin")
