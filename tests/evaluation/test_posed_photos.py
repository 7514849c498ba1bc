"""Photos with cameras in each file that is understood: all say the same."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.data.frame import BrokenFrameError
from fast3r.evaluation.benchmarks.posed_photos import PosedPhotos
from fast3r.export import cameras_json, colmap_writer, transforms_json
from fast3r.export.colmap import colmap_model
from fast3r.geometry.cameras import Camera, pinhole
from fast3r.scene.reconstruction import Reconstruction, Scale
from tests.evaluation.known_answers import answer, nothing
from tests.scene.playback import Truth, a_view

WIDTH, HEIGHT = 400, 300


@pytest.fixture
def truths() -> list[Truth]:
    return [a_view(seed, HEIGHT, WIDTH, 350.0 + seed) for seed in range(4)]


@pytest.fixture
def scene(truths: list[Truth]) -> Reconstruction:
    """The truth as a scene, for our writers."""
    cameras = [
        Camera(pinhole(torch.tensor(t.focal_px), HEIGHT, WIDTH), t.world_from_camera, HEIGHT, WIDTH)
        for t in truths
    ]
    sure = [torch.ones_like(t.depth) for t in truths]
    return Reconstruction(
        [t.view for t in truths],
        [*cameras],
        [t.depth for t in truths],
        sure,
        [None] * len(truths),
        [],
        Scale(),
    )


def write_photos(folder: Path, truths: list[Truth], *, size=(WIDTH, HEIGHT), orientation=1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, truth in enumerate(truths):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = folder / truth.view.name
        Image.new("RGB", size, (60 * index, 90, 200)).save(path, exif=exif)


def assert_true(root: Path, truths: list[Truth], *, case: str) -> None:
    benchmark = PosedPhotos(root, views=10)
    assert benchmark.cases == [case]
    frames = benchmark.frames(case)
    assert [frame.name for frame in frames] == [truth.view.name for truth in truths]
    for frame, truth in zip(frames, truths, strict=True):
        np.testing.assert_allclose(frame.world_from_camera, truth.world_from_camera, atol=1e-5)
        expected = [[truth.focal_px, 0, WIDTH / 2], [0, truth.focal_px, HEIGHT / 2], [0, 0, 1]]
        np.testing.assert_allclose(frame.intrinsics, expected, rtol=1e-5)
        assert frame.image.shape == (HEIGHT, WIDTH, 3)


def test_cameras_json_of_fast3r_is_read(tmp_path: Path, truths, scene) -> None:
    write_photos(tmp_path / "images", truths)
    cameras_json.write(scene, tmp_path / "cameras.json")
    assert_true(tmp_path, truths, case=tmp_path.name)


def test_photos_without_a_camera_are_not_asked_for(tmp_path: Path, truths, scene) -> None:
    write_photos(tmp_path, truths)
    cameras_json.write(scene, tmp_path / "cameras.json")
    document = json.loads((tmp_path / "cameras.json").read_text())
    document["views"][1] |= {"registered": False, "intrinsics": None, "world_from_camera": None}
    (tmp_path / "cameras.json").write_text(json.dumps(document))
    assert_true(tmp_path, [truths[0], *truths[2:]], case=tmp_path.name)


def test_cameras_json_with_integer_pixel_centres_is_read(tmp_path: Path, truths) -> None:
    write_photos(tmp_path / "room" / "images", truths)
    images = []
    for truth in truths:
        k = [[truth.focal_px, 0, WIDTH / 2 - 0.5], [0, truth.focal_px, HEIGHT / 2 - 0.5], [0, 0, 1]]
        pose = truth.world_from_camera.tolist()
        images.append({"file": f"images/{truth.view.name}", "K": k, "c2w": pose})
    (tmp_path / "room" / "cameras.json").write_text(json.dumps({"images": images}))
    assert_true(tmp_path, truths, case="room")


def test_transforms_json_is_read(tmp_path: Path, truths, scene) -> None:
    write_photos(tmp_path / "room", truths)
    transforms_json.write(scene, tmp_path / "room" / "transforms.json")
    assert_true(tmp_path, truths, case="room")


def test_transforms_of_one_field_of_view_without_suffixes_are_read(tmp_path: Path) -> None:
    truths = [a_view(seed, HEIGHT, WIDTH, 350.0) for seed in range(3)]
    opengl = np.diag([1.0, -1, -1, 1])
    frames = []
    for index, truth in enumerate(truths):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / f"r_{index}.png")
        pose = truth.world_from_camera.numpy() @ opengl
        frames.append({"file_path": f"./r_{index}", "transform_matrix": pose.tolist()})
    angle = 2 * np.arctan(WIDTH / 2 / 350.0)
    document = {"camera_angle_x": angle, "frames": frames}
    (tmp_path / "transforms_train.json").write_text(json.dumps(document))
    read = PosedPhotos(tmp_path, views=10).frames(tmp_path.name)
    for frame, truth in zip(read, truths, strict=True):
        np.testing.assert_allclose(frame.world_from_camera, truth.world_from_camera, atol=1e-5)
        assert frame.intrinsics[0, 0] == frame.intrinsics[1, 1] == pytest.approx(350)


@pytest.mark.parametrize("place", ["sparse/0", "sparse", "."])
@pytest.mark.parametrize("text", [False, True])
def test_colmap_models_are_read(tmp_path: Path, truths, scene, place: str, text: bool) -> None:
    room = tmp_path / "room"
    write_photos(room / "images", truths)
    write = colmap_writer.write_text if text else colmap_writer.write_binary
    (room / place).mkdir(parents=True, exist_ok=True)
    write(colmap_model(scene, cloud=scene.point_cloud(max_points=20)), room / place)
    assert_true(tmp_path, truths, case="room")


def test_photos_smaller_than_their_camera_scale_its_intrinsics(tmp_path, truths, scene) -> None:
    write_photos(tmp_path, truths, size=(WIDTH // 2, HEIGHT // 2))
    cameras_json.write(scene, tmp_path / "cameras.json")
    (frame, *_) = PosedPhotos(tmp_path, views=10).frames(tmp_path.name)
    assert frame.image.shape == (HEIGHT // 2, WIDTH // 2, 3)
    np.testing.assert_allclose(frame.intrinsics[:2], [[175, 0, 100], [0, 175, 75]], rtol=1e-6)


def test_photos_stand_as_their_camera_does(tmp_path: Path, truths, scene) -> None:
    # Stored lying on their side, to be turned; and stored upright with a wrong mark.
    for name, size in (("turned", (HEIGHT, WIDTH)), ("wrong", (WIDTH, HEIGHT))):
        write_photos(tmp_path / name, truths, size=size, orientation=6)
        cameras_json.write(scene, tmp_path / name / "cameras.json")
        (frame, *_) = PosedPhotos(tmp_path, views=10).frames(name)
        assert frame.image.shape == (HEIGHT, WIDTH, 3)


def test_a_photo_of_another_shape_is_refused(tmp_path: Path, truths, scene) -> None:
    write_photos(tmp_path, truths, size=(WIDTH, 200))
    cameras_json.write(scene, tmp_path / "cameras.json")
    with pytest.raises(BrokenFrameError, match="is 400x200 px, but its camera is for 400x300 px"):
        PosedPhotos(tmp_path, views=10).frames(tmp_path.name)


def test_a_missing_photo_is_named(tmp_path: Path, truths, scene) -> None:
    cameras_json.write(scene, tmp_path / "cameras.json")
    with pytest.raises(BrokenFrameError, match=r"0\.jpg cannot be read"):
        PosedPhotos(tmp_path, views=10).frames(tmp_path.name)


def test_photos_are_chosen_evenly(tmp_path: Path, truths, scene) -> None:
    write_photos(tmp_path, truths)
    cameras_json.write(scene, tmp_path / "cameras.json")
    names = [frame.name for frame in PosedPhotos(tmp_path, views=2).frames(tmp_path.name)]
    assert names == ["0.jpg", "3.jpg"]


def test_each_folder_with_cameras_is_a_case(tmp_path: Path, truths, scene) -> None:
    for name in ("b", "a"):
        write_photos(tmp_path / name, truths)
        cameras_json.write(scene, tmp_path / name / "cameras.json")
    (tmp_path / "notes").mkdir()
    assert PosedPhotos(tmp_path, views=10).cases == ["a", "b"]


def test_the_truth_scores_perfectly_and_nothing_is_a_failure(tmp_path, truths, scene) -> None:
    write_photos(tmp_path, truths)
    cameras_json.write(scene, tmp_path / "cameras.json")
    benchmark = PosedPhotos(tmp_path, views=10)
    frames = benchmark.frames(tmp_path.name)
    score = benchmark.score(frames, answer(frames))
    assert score["AUC@5 %"] == pytest.approx(100, abs=0.1)
    assert score["focal error %"] == pytest.approx(0, abs=1e-6)
    np.testing.assert_equal(benchmark.score(frames, nothing(frames)), benchmark.failure(frames))


def test_a_folder_of_nothing_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(
        ValueError, match=r"not laid out as posed photos(.|\n)*sparse/0(.|\n)*a\.txt"
    ):
        PosedPhotos(tmp_path, views=10)


def test_a_missing_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such folder"):
        PosedPhotos(tmp_path / "nowhere", views=10)


def test_one_photo_is_too_few(tmp_path: Path, truths, scene) -> None:
    write_photos(tmp_path, truths)
    cameras_json.write(scene, tmp_path / "cameras.json")
    document = json.loads((tmp_path / "cameras.json").read_text())
    document["views"] = document["views"][:1]
    (tmp_path / "cameras.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="has fewer than 2 photos with a camera"):
        PosedPhotos(tmp_path, views=10)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"images": [{"file": "a.png"}]}', '{"images": 3}']
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / "cameras.json").write_text(text)
    with pytest.raises(
        ValueError, match=r"cameras\.json (cannot be read as|is not(.|\n)*expected)"
    ):
        PosedPhotos(tmp_path, views=10)
