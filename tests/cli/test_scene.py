"""`fast3r scene add`, `localize`, `remove`, `merge` and `align`."""

import json
from pathlib import Path

import pytest
import torch

from fast3r.export.formats import load
from fast3r.geometry.transforms import Similarity
from fast3r.scene.reconstruction import Scale
from tests.commands import Command
from tests.scene.living.world import (
    SeeingModel,
    a_photo,
    a_scene,
    assert_same_camera,
    camera_of,
    save_photo,
)

PHOTOS = [a_photo(number) for number in range(10)]
HALF = Similarity(torch.tensor(0.5), torch.eye(3), torch.tensor([0.0, 0.0, 1.0]))

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def standing(tmp_path: Path) -> Path:
    """Return the folder of a saved scene of the first photos."""
    (tmp_path / "standing").mkdir()
    a_scene(PHOTOS[:6]).save(tmp_path / "standing/scene.npz")
    return tmp_path / "standing"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of two other photos."""
    for photo in PHOTOS[6:8]:
        save_photo(photo, tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> SeeingModel:
    """Return the network that commands will find."""
    model = SeeingModel(PHOTOS)
    monkeypatch.setattr("fast3r.cli.scene.load_model", lambda name, device: model)
    return model


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("model")
def test_photos_are_added(standing: Path, photos: Path, tmp_path: Path, fast3r: Command) -> None:
    done = fast3r("scene", "add", standing, photos, "--output", tmp_path / "o")
    assert (done.code, done.out) == (0, f"{tmp_path / 'o'}\n"), done.err
    assert "2 of 2 photos found their place" in done.err
    assert names_in(tmp_path / "o") == ["added.json", "cameras.json", "scene.npz", "scene.ply"]
    scene = load(tmp_path / "o/scene.npz")
    assert len(scene.views) == 8
    assert_same_camera(camera_of(scene, "7.png"), PHOTOS[7].camera, place=0.01)
    record = json.loads((tmp_path / "o/added.json").read_text())["photos"]
    assert [(photo["name"], photo["outcome"]) for photo in record] == [
        ("6.png", "placed"),
        ("7.png", "placed"),
    ]
    assert len(record[0]["references"]) == 6
    assert record[0]["joint"]["inlier_ratio"] > 0.99


def test_photos_without_a_place_are_named(
    standing: Path, photos: Path, model: SeeingModel, tmp_path: Path, fast3r: Command
) -> None:
    model.blind = {"7.png"}
    words = ("scene", "add", standing, photos, "--output", tmp_path / "o")
    done = fast3r(*words)
    assert done.code == 0
    assert "7.png was unplaced: no pose fits its points" in done.err
    (_, lost) = json.loads((tmp_path / "o/added.json").read_text())["photos"]
    assert lost["confirmed"] is None


@pytest.mark.usefixtures("model")
def test_adding_nothing_new_is_refused(standing: Path, tmp_path: Path, fast3r: Command) -> None:
    twin = save_photo(PHOTOS[2], tmp_path / "again")
    done = fast3r("scene", "add", standing, twin, "--output", tmp_path / "o")
    assert done.code == 2
    assert "no photo was added; 2.png was left out: the scene has" in done.err
    assert names_in(tmp_path / "o") == []


@pytest.mark.usefixtures("model")
def test_photos_are_localized(
    standing: Path, photos: Path, tmp_path: Path, fast3r: Command
) -> None:
    before = (standing / "scene.npz").read_bytes()
    words = ("--references", "0", "3.png", "5", "--output", tmp_path / "o")
    done = fast3r("scene", "localize", standing, photos, *words)
    assert (done.code, done.out) == (0, f"{tmp_path / 'o'}\n"), done.err
    assert "2 of 2 photos were found" in done.err
    assert names_in(tmp_path / "o") == ["cameras.json", "localized.json"]
    (first, _) = json.loads((tmp_path / "o/cameras.json").read_text())["views"]
    assert (first["name"], first["registered"], first["width"]) == ("6.png", True, 640)
    found = torch.tensor(first["world_from_camera"])
    torch.testing.assert_close(found, PHOTOS[6].camera.world_from_camera, rtol=0, atol=0.01)
    (told, _) = json.loads((tmp_path / "o/localized.json").read_text())["photos"]
    assert told["references"] == ["0.png", "3.png", "5.png"]
    assert told["found"] is True
    assert (standing / "scene.npz").read_bytes() == before


def test_photos_that_are_not_found_are_told(
    standing: Path, photos: Path, model: SeeingModel, tmp_path: Path, fast3r: Command
) -> None:
    model.blind = {"6.png", "7.png"}
    words = ("scene", "localize", standing, photos, "--output", tmp_path / "o")
    done = fast3r(*words)
    assert done.code == 2
    assert "no photo was found; 6.png: no pose fits its points" in done.err
    assert json.loads((tmp_path / "o/cameras.json").read_text())["views"][0]["registered"] is False


def test_photos_are_removed(standing: Path, tmp_path: Path, fast3r: Command) -> None:
    words = ("2.png", "4", "--output", tmp_path / "o", "--format", "transforms")
    done = fast3r("scene", "remove", standing / "scene.npz", *words)
    assert done.code == 0, done.err
    assert "4 of 6 photos stay" in done.err
    assert "transforms.json" in names_in(tmp_path / "o")
    rest = load(tmp_path / "o/scene.npz")
    assert [view.name for view in rest.views] == ["0.png", "1.png", "3.png", "5.png"]


def test_an_unknown_photo_cannot_be_removed(
    standing: Path, tmp_path: Path, fast3r: Command
) -> None:
    done = fast3r("scene", "remove", standing, "x.png", "--output", tmp_path / "o")
    assert done.code == 2
    assert "remove: no view is named 'x.png'; the 6 views are 0.png, 1.png" in done.err


def test_scenes_with_common_photos_are_merged_without_a_model(
    standing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast3r: Command
) -> None:
    monkeypatch.delattr("fast3r.cli.scene.load_model")
    a_scene(PHOTOS[4:], HALF).save(tmp_path / "other.npz")
    words = (standing, tmp_path / "other.npz", "--output", tmp_path / "o")
    done = fast3r("scene", "merge", *words)
    assert done.code == 0, done.err
    assert "joined by 2 photos that both scenes have; 100% of the points agree" in done.err
    assert "10 photos, 10 with cameras" in done.err
    assert names_in(tmp_path / "o") == ["cameras.json", "merged.json", "scene.npz", "scene.ply"]
    told = json.loads((tmp_path / "o/merged.json").read_text())
    assert told["shared"] == [["4.png", "4.png"], ["5.png", "5.png"]]
    assert told["scale"] == pytest.approx(2)
    assert_same_camera(camera_of(load(tmp_path / "o/scene.npz"), "9.png"), PHOTOS[9].camera)


def test_other_scenes_are_merged_by_a_pass(
    standing: Path, model: SeeingModel, tmp_path: Path, fast3r: Command
) -> None:
    a_scene(PHOTOS[6:], HALF).save(tmp_path / "other.npz")
    words = (standing, tmp_path / "other.npz", "--output", tmp_path / "o")
    done = fast3r("scene", "merge", *words)
    assert done.code == 0, done.err
    assert "joined by a pass over 10 photos of both; 100% and 100% of the points agree" in done.err
    assert len(model.passes) == 1
    merged = load(tmp_path / "o/scene.npz")
    assert_same_camera(camera_of(merged, "9.png"), PHOTOS[9].camera, place=0.02)


def test_a_scene_is_aligned(standing: Path, tmp_path: Path, fast3r: Command) -> None:
    first, last = (PHOTOS[index].camera.world_from_camera[:3, 3] for index in (0, 5))
    apart = (first - last).norm().item()
    words = ("--up", "ground", "--distance", "0.png", "5.png", str(2 * apart), "--origin", "1")
    done = fast3r("scene", "align", standing, *words, "--output", tmp_path / "o")
    assert done.code == 0, done.err
    assert "axes: gravity; scale: metric (distances)" in done.err
    scene = load(tmp_path / "o/scene.npz")
    assert scene.scale == Scale("metric", "distances")
    torch.testing.assert_close(
        camera_of(scene, "1.png").world_from_camera[:3, 3], torch.zeros(3), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(scene.depth[2], 2 * PHOTOS[2].depth, rtol=1e-3, atol=0)


def test_a_distance_may_be_between_pixels(standing: Path, tmp_path: Path, fast3r: Command) -> None:
    words = ("--distance", "0.png:105,305", "3:405.5,225", "3.5", "--output", tmp_path / "o")
    done = fast3r("scene", "align", standing, *words)
    assert done.code == 0, done.err
    assert "distance from (105, 305) in 0.png to (405.5, 225) in 3 agrees" in done.err


def test_a_point_that_is_none_is_refused(standing: Path, tmp_path: Path, fast3r: Command) -> None:
    words = ("--distance", "0.png:105", "3", "3.5", "--output", tmp_path / "o")
    done = fast3r("scene", "align", standing, *words)
    assert done.code == 2
    assert "--distance: '0.png:105' is no point; write NAME:X,Y" in done.err


def test_aligning_to_nothing_is_refused(standing: Path, tmp_path: Path, fast3r: Command) -> None:
    done = fast3r("scene", "align", standing, "--output", tmp_path / "o")
    assert done.code == 2
    assert "align: say what to align: up, distances or origin" in done.err


def test_a_scene_that_is_none_is_refused(tmp_path: Path, fast3r: Command) -> None:
    done = fast3r("scene", "remove", tmp_path, "a.png", "--output", tmp_path / "o")
    assert done.code == 2
    assert "scene.npz: no such file or directory" in done.err


def test_an_unknown_action_lists_those_known(fast3r: Command) -> None:
    done = fast3r("scene", "grow")
    assert done.code == 2
    assert "add" in done.err
    assert "localize" in done.err
