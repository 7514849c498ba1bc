import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast3r.data.config import ColourJitter, PhotoConfig, Shape
from fast3r.data.dataset import Dataset
from fast3r.data.datasets.posed_rgbd import PosedRgbd
from fast3r.data.frame import BrokenFrameError
from fast3r.data.mixture import Member, Mixture
from fast3r.data.stream import SampleStream
from fast3r.export import cameras_json
from tests.datasets.room import HEIGHT, WIDTH, depth_of_walls, look
from tests.scenes import make_scene

CAMERAS = {f"photo_{i}.png": look(0.4 * i, 0) for i in range(5)}
SCALE = 0.002


def _photo(index: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return np.stack([3 * x, 5 * y, np.full_like(x, 40 * index)], -1).astype(np.uint8)


def _depth(name: str) -> np.ndarray:
    return depth_of_walls(CAMERAS[name], (4.0,))


def write_scene(folder: Path, **changes: object) -> Path:
    """Write five photos before a wall with depth as 16-bit PNG, and change cameras.json."""
    views = []
    for index, (name, camera) in enumerate(CAMERAS.items()):
        for part in ("images", "depth"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(_photo(index)).save(folder / "images" / name)
        steps = np.round(_depth(name) / SCALE).astype(np.uint16)
        Image.fromarray(steps).save(folder / "depth" / name)
        views.append(
            {
                "name": name,
                "width": camera.width,
                "height": camera.height,
                "intrinsics": camera.intrinsics.tolist(),
                "world_from_camera": camera.world_from_camera.tolist(),
                "registered": True,
            }
        )
    document = {"version": 1, "views": views, "scale": "arbitrary", "depth_scale": SCALE}
    (folder / "cameras.json").write_text(json.dumps(document | changes))
    return folder


def _edit(folder: Path, change: Callable[[dict], None]) -> None:
    document = json.loads((folder / "cameras.json").read_text())
    change(document)
    (folder / "cameras.json").write_text(json.dumps(document))


def test_a_frame_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_scene(tmp_path / "kitchen")
    dataset = PosedRgbd(tmp_path)
    assert isinstance(dataset, Dataset)
    assert dataset.scenes == ("kitchen",)
    assert dataset.frames("kitchen") == list(CAMERAS)
    frame = dataset.read("kitchen", "photo_3.png")
    camera = CAMERAS["photo_3.png"]
    np.testing.assert_array_equal(frame.image, _photo(3))
    np.testing.assert_allclose(frame.depth, _depth("photo_3.png"), atol=SCALE)
    np.testing.assert_allclose(frame.intrinsics, camera.intrinsics)
    np.testing.assert_allclose(frame.world_from_camera, camera.world_from_camera)


def test_a_folder_can_be_one_scene_itself(tmp_path: Path) -> None:
    dataset = PosedRgbd(write_scene(tmp_path))
    assert dataset.scenes == (".",)
    assert dataset.read(".", "photo_0.png").name == "photo_0.png"


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize("stem", ["photo_0", "photo_0.png"])
def test_float_depth_needs_no_scale_and_may_have_holes(
    tmp_path: Path, ending: str, stem: str
) -> None:
    write_scene(tmp_path, depth_scale=None)
    (tmp_path / "depth" / "photo_0.png").unlink()
    depth = _depth("photo_0.png")
    depth[0, :3] = np.nan, np.inf, -1
    path = tmp_path / "depth" / f"{stem}{ending}"
    np.save(path, depth) if ending == ".npy" else np.savez(path, depth=depth)
    found = PosedRgbd(tmp_path).read(".", "photo_0.png").depth
    depth[0, :3] = 0
    np.testing.assert_array_equal(found, depth)


def test_a_small_depth_map_is_grown_to_the_photo(tmp_path: Path) -> None:
    write_scene(tmp_path)
    small = np.arange(1, 13).reshape(3, 4).astype(np.float32)
    (tmp_path / "depth" / "photo_0.png").unlink()
    np.save(tmp_path / "depth" / "photo_0.npy", small)
    grown = PosedRgbd(tmp_path).read(".", "photo_0.png").depth
    np.testing.assert_array_equal(grown, small.repeat(16, 0).repeat(16, 1))


def test_photos_in_subfolders_keep_their_names(tmp_path: Path) -> None:
    write_scene(tmp_path)
    for part in ("images", "depth"):
        (tmp_path / part / "left").mkdir()
        (tmp_path / part / "photo_0.png").rename(tmp_path / part / "left" / "photo_0.png")
    _edit(tmp_path, lambda document: document["views"][0].update(name="left/photo_0.png"))
    assert PosedRgbd(tmp_path).read(".", "left/photo_0.png").depth is not None


def test_a_photo_is_turned_upright_as_its_exif_says(tmp_path: Path) -> None:
    write_scene(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.rot90(_photo(0))
    Image.fromarray(np.ascontiguousarray(stored)).save(
        tmp_path / "images" / "photo_0.png", exif=exif
    )
    np.testing.assert_array_equal(PosedRgbd(tmp_path).read(".", "photo_0.png").image, _photo(0))


def test_photos_without_a_camera_or_depth_are_no_frames_to_train_on(tmp_path: Path) -> None:
    write_scene(tmp_path)
    (tmp_path / "depth" / "photo_1.png").unlink()

    def unregister(document: dict) -> None:
        document["views"][0].update(registered=False, intrinsics=None, world_from_camera=None)

    _edit(tmp_path, unregister)
    dataset = PosedRgbd(tmp_path)
    assert "photo_0.png" not in dataset.frames(".")
    assert dataset.read(".", "photo_1.png").depth is None
    drawn = {name for seed in range(10) for name in dataset.draw(".", 3, _dice(seed))}
    assert drawn == {"photo_2.png", "photo_3.png", "photo_4.png"}


def _dice(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_equal_dice_draw_equal_frames_that_differ(tmp_path: Path) -> None:
    dataset = PosedRgbd(write_scene(tmp_path))
    drawn = dataset.draw(".", 4, _dice())
    assert len(set(drawn)) == 4
    assert drawn == dataset.draw(".", 4, _dice())
    assert any(drawn != dataset.draw(".", 4, _dice(seed)) for seed in range(1, 5))


def test_frames_that_see_nothing_in_common_are_not_drawn_together(tmp_path: Path) -> None:
    write_scene(tmp_path)

    def move_away(document: dict) -> None:
        document["views"][4]["world_from_camera"] = look(90, 0).world_from_camera.tolist()

    _edit(tmp_path, move_away)
    for seed in range(10):
        assert "photo_4.png" not in PosedRgbd(tmp_path).draw(".", 3, _dice(seed))


def test_samples_can_be_made_of_it(tmp_path: Path) -> None:
    mixture = Mixture((Member(PosedRgbd(write_scene(tmp_path))),))
    config = PhotoConfig(
        shapes=(Shape(32, 48),), min_views=3, max_views=3, jitter=ColourJitter(0, 0, 0, 0)
    )
    sample = SampleStream(config, mixture, seed=0, patch=16)[0]
    assert sample.images.shape == (1, 3, 3, 32, 48)
    np.testing.assert_allclose(sample.points[..., 2].numpy(), 4.0, atol=SCALE)


def test_cameras_that_fast3r_wrote_are_read(tmp_path: Path) -> None:
    scene = make_scene()
    cameras_json.write(scene, tmp_path / "cameras.json")
    expected = [view.name for _, view, _ in scene.posed_views()]
    assert PosedRgbd(tmp_path).frames(".") == expected


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(ValueError, match=r"(?s)posed RGB-D folder.*cameras\.json.*photo\.jpg"):
        PosedRgbd(tmp_path)


def _break_scale(folder: Path) -> None:
    _edit(folder, lambda document: document.pop("depth_scale"))


def _break_size(folder: Path) -> None:
    _edit(folder, lambda document: document["views"][0].update(width=100))


def _break_pose(folder: Path) -> None:
    _edit(
        folder,
        lambda document: document["views"][0].update(world_from_camera=np.ones((4, 4)).tolist()),
    )


def _break_intrinsics(folder: Path) -> None:
    _edit(folder, lambda document: document["views"][0].update(intrinsics=[1, 2]))


def _bend(folder: Path) -> None:
    lens = {"model": "RADIAL", "k1": -0.2, "k2": 0.0}
    _edit(folder, lambda document: document["views"][0].update(lens=lens))


def _break_photo(folder: Path) -> None:
    (folder / "images" / "photo_0.png").write_bytes(b"no photo")


def _lose_photo(folder: Path) -> None:
    (folder / "images" / "photo_0.png").unlink()


def _break_depth(folder: Path) -> None:
    Image.fromarray(np.full((10, 64), 2000, np.uint16)).save(folder / "depth" / "photo_0.png")


def _break_views(folder: Path) -> None:
    (folder / "cameras.json").write_text('{"views": {"a": 1}}')


def _break_json(folder: Path) -> None:
    (folder / "cameras.json").write_text("{")


def _break_array(folder: Path) -> None:
    (folder / "depth" / "photo_0.png").unlink()
    np.save(folder / "depth" / "photo_0.npy", np.array(["a"]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_break_scale, "depth_scale is None; expected the depth"),
        (_break_size, "photo_0.png: has 64x48 px; expected 100x48"),
        (_break_pose, "its pose is .*expected 4x4 finite numbers with a rotation"),
        (_break_intrinsics, "cameras.json is not understood .*3x3, found shape"),
        (_bend, "the camera of photo_0.png is RADIAL.*; expected a pinhole"),
        (_break_photo, "photo_0.png: not an image"),
        (_lose_photo, "photo_0.png: no such file"),
        (_break_depth, "has 64x10 px; expected the shape of its photo, 64x48 px"),
        (_break_views, "cameras.json is not understood .*expected views"),
        (_break_json, "cameras.json: not JSON"),
        (_break_array, "photo_0.npy: holds <U1 of shape"),
    ],
)
def test_what_is_broken_is_named(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    write_scene(tmp_path)
    spoil(tmp_path)
    with pytest.raises(BrokenFrameError, match=message):
        PosedRgbd(tmp_path).read(".", "photo_0.png")


def test_a_scene_without_any_depth_cannot_be_drawn_from(tmp_path: Path) -> None:
    write_scene(tmp_path)
    for path in (tmp_path / "depth").iterdir():
        path.unlink()
    with pytest.raises(BrokenFrameError, match="has no depth map of a photo with a camera"):
        PosedRgbd(tmp_path).draw(".", 2, _dice())
