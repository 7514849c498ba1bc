"""The same cameras in each kind of file are read as the same records."""

import json
from pathlib import Path

import numpy as np
import pytest

from fast3r.camera_files.cameras_json import read_cameras
from fast3r.camera_files.colmap import calibration, read_colmap
from fast3r.camera_files.colmap_model import CAMERA_MODELS, ColmapCamera
from fast3r.camera_files.find import find_camera_file, read_camera_file
from fast3r.camera_files.records import CameraRecord
from fast3r.camera_files.transforms_json import read_transforms

WIDTH, HEIGHT = 40, 30
INTRINSICS = np.array([[35.0, 0, 21], [0, 36, 14], [0, 0, 1]])
POSE = np.array([[0.0, 0, 1, 1], [-1, 0, 0, 2], [0, -1, 0, 3], [0, 0, 0, 1]])
OPENGL = np.diag([1.0, -1, -1, 1])


def write_ours(folder: Path) -> Path:
    view = {"name": "a.png", "width": WIDTH, "height": HEIGHT, "registered": True}
    view |= {"intrinsics": INTRINSICS.tolist(), "world_from_camera": POSE.tolist()}
    lost = {"name": "b.png", "registered": False, "intrinsics": None, "world_from_camera": None}
    path = folder / "cameras.json"
    path.write_text(json.dumps({"version": 1, "views": [view, lost], "scale": "arbitrary"}))
    return path


def write_transforms(folder: Path, **changes: object) -> Path:
    frame = {"file_path": "a.png", "transform_matrix": (POSE @ OPENGL).tolist()}
    sides = {"w": WIDTH, "h": HEIGHT}
    document = {"fl_x": 35, "fl_y": 36, "cx": 21, "cy": 14, "frames": [frame], **sides, **changes}
    path = folder / "transforms.json"
    path.write_text(json.dumps(document))
    return path


def write_model(folder: Path, camera: str = f"1 PINHOLE {WIDTH} {HEIGHT} 35 36 21 14") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    camera_from_world = np.linalg.inv(POSE)
    # The inverse turns by 120 degrees about (1, -1, 1).
    rotation = "0.5 0.5 -0.5 0.5"
    shift = " ".join(map(str, camera_from_world[:3, 3]))
    (folder / "cameras.txt").write_text(camera + "\n")
    (folder / "images.txt").write_text(f"1 {rotation} {shift} 1 a.png\n\n")
    (folder / "points3D.txt").write_text("")
    return folder


def nobody_asks(name: str) -> tuple[int, int]:
    raise AssertionError(name)


def assert_known(records: list[CameraRecord]) -> None:
    (record,) = records
    assert record.name == "a.png"
    assert record.calibration.size == (WIDTH, HEIGHT)
    assert record.calibration.is_pinhole
    np.testing.assert_allclose(record.calibration.intrinsics, INTRINSICS)
    np.testing.assert_allclose(record.world_from_camera, POSE, atol=1e-12)


def test_each_kind_of_file_gives_the_same_camera(tmp_path: Path) -> None:
    assert_known(read_cameras(write_ours(tmp_path)))
    assert_known(read_transforms(write_transforms(tmp_path), photo_size=nobody_asks))
    assert_known(read_colmap(write_model(tmp_path / "sparse/0")))


@pytest.mark.parametrize("write", [write_ours, write_transforms, write_model])
def test_the_kind_is_told_by_what_is_in_it(write, tmp_path: Path) -> None:
    path = find_camera_file(write(tmp_path) if write is write_model else write(tmp_path).parent)
    assert path is not None
    assert_known(read_camera_file(path, photo_size=nobody_asks))


def test_a_folder_without_cameras_has_no_file(tmp_path: Path) -> None:
    assert find_camera_file(tmp_path) is None


def test_integer_pixel_centres_become_ours(tmp_path: Path) -> None:
    image = {"file": "images/a.png", "K": INTRINSICS.tolist(), "c2w": POSE[:3].tolist()}
    (tmp_path / "cameras.json").write_text(json.dumps({"images": [image]}))
    (record,) = read_cameras(tmp_path / "cameras.json")
    assert record.name == "images/a.png"
    assert record.calibration.size is None
    assert record.calibration.intrinsics[:2, 2].tolist() == [21.5, 14.5]
    np.testing.assert_array_equal(record.world_from_camera, POSE)


def test_a_field_of_view_and_the_photo_make_intrinsics(tmp_path: Path) -> None:
    frame = {"file_path": "./a", "transform_matrix": np.eye(4).tolist()}
    document = {"camera_angle_x": np.pi / 2, "frames": [frame]}
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    asked = []
    (record,) = read_transforms(
        tmp_path / "transforms.json", photo_size=lambda name: asked.append(name) or (80, 60)
    )
    assert asked == ["./a"]
    expected = [[40, 0, 40], [0, 40, 30], [0, 0, 1]]
    np.testing.assert_allclose(record.calibration.intrinsics, expected)


def test_what_a_frame_says_counts_before_what_the_file_says(tmp_path: Path) -> None:
    path = write_transforms(tmp_path)
    document = json.loads(path.read_text())
    document["frames"][0] |= {"fl_x": 50.0, "depth_file_path": "d/a.png"}
    path.write_text(json.dumps(document))
    (record,) = read_transforms(path, photo_size=nobody_asks)
    assert record.calibration.intrinsics[0, 0] == 50
    assert record.depth_name == "d/a.png"


@pytest.mark.parametrize("model", CAMERA_MODELS)
def test_every_model_of_colmap_is_understood(model: str) -> None:
    focals = 1 if "SIMPLE" in model or "RADIAL" in model else 2
    parameters = [*[9.0, 8.0][:focals], 5.0, 4.0]
    lens = [0.1] * (len(CAMERA_MODELS[model].split()) - focals - 2)
    found = calibration(ColmapCamera(model, WIDTH, HEIGHT, (*parameters, *lens)))
    assert found.intrinsics.tolist() == [
        [9, 0, 5],
        [0, [9, 8][focals - 1], 4],
        [0, 0, 1],
    ]
    assert list(found.lens.values()) == lens
    assert found.is_pinhole == (not lens)


@pytest.mark.parametrize(
    ("changes", "lens"),
    [({"k1": 0.1, "k2": 0}, {"k1": 0.1}), ({"camera_model": "OPENCV_FISHEYE"}, {})],
)
def test_a_lens_is_kept(changes: dict, lens: dict, tmp_path: Path) -> None:
    (record,) = read_transforms(write_transforms(tmp_path, **changes), photo_size=nobody_asks)
    assert not record.calibration.is_pinhole
    assert record.calibration.lens == lens


@pytest.mark.parametrize("text", ["[]", "{}", "3", "{", '{"frames": [{}]}', '{"views": [3]}'])
def test_other_files_are_explained(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(text)
    with pytest.raises(
        ValueError, match=r"cameras\.json (is not understood.*expected|cannot be read as)"
    ):
        read_camera_file(path, photo_size=nobody_asks)


def test_a_model_without_the_camera_of_an_image_is_explained(tmp_path: Path) -> None:
    write_model(tmp_path, camera=f"2 PINHOLE {WIDTH} {HEIGHT} 35 36 21 14")
    with pytest.raises(ValueError, match="holds no COLMAP model that can be read"):
        read_colmap(tmp_path)


@pytest.mark.parametrize("camera", ["1 PINHOLE 4 3 35 36 21", "1 LOMO 4 3 1"])
def test_a_camera_of_another_model_is_refused(camera: str, tmp_path: Path) -> None:
    write_model(tmp_path, camera=camera)
    with pytest.raises(ValueError, match="no camera is a"):
        read_colmap(tmp_path)
