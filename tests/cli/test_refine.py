"""`fast3r reconstruct --refine` and `fast3r refine`."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from fast3r.export.formats import load
from fast3r.scene.reconstruction import Reconstruction
from tests.commands import Command, assert_refused
from tests.scene.corner import a_corner, shaken
from tests.scene.corner_playback import predictions
from tests.scene.playback import PlayedBack


@pytest.fixture(scope="module")
def wrong() -> Reconstruction:
    return shaken(a_corner().scene(), turned_deg=3.0, moved=0.1)


@pytest.fixture
def photos(tmp_path: Path, wrong: Reconstruction) -> Path:
    """Photos on disk."""
    (tmp_path / "photos").mkdir()
    for view in wrong.views:
        Image.fromarray(view.pixels.numpy()).save(tmp_path / "photos" / view.name)
    return tmp_path / "photos"


def refined_names(record: dict) -> list[str]:
    return [view["name"] for view in record["views"] if view["outcome"] == "refined"]


@pytest.fixture
def seen(wrong: Reconstruction, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the network see the truth, with cameras that are degrees off."""
    model = PlayedBack(predictions(wrong))
    monkeypatch.setattr("fast3r.cli.reconstruct.load_model", lambda name, **_: model)


@pytest.mark.usefixtures("seen")
def test_reconstruct_refines_and_reports(reconstruct, photos, wrong, tmp_path) -> None:
    said = reconstruct(photos, tmp_path / "out", "--refine")
    assert (said.code, said.out) == (0, f"{tmp_path / 'out'}\n"), said.err
    assert "5 of 5 cameras refined; median reprojection error" in said.err
    record = json.loads((tmp_path / "out/report.json").read_text())["refinement"]
    assert refined_names(record) == [view.name for view in wrong.views]
    assert record["after_px"] < 0.3 < 1 < record["before_px"]


@pytest.mark.usefixtures("seen")
def test_without_refine_the_report_has_no_refinement(reconstruct, photos, tmp_path) -> None:
    reconstruct(photos, tmp_path / "out")
    assert json.loads((tmp_path / "out/report.json").read_text())["refinement"] is None


@pytest.fixture
def refine(fast3r: Command, wrong: Reconstruction, tmp_path: Path) -> Command:
    """Runs `fast3r refine` on a saved scene."""
    wrong.save(tmp_path / "scene.npz")
    scene, output = tmp_path / "scene.npz", tmp_path / "o"
    return lambda *options: fast3r("refine", scene, "--output", output, *options)


def test_a_saved_scene_is_refined_with_its_photos(refine, photos, wrong, tmp_path) -> None:
    done = refine("--photos", photos)
    assert done.code == 0, done.err
    assert "5 of 5 cameras refined" in done.err
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == ["cameras.json", "refinement.json", "scene.npz", "scene.ply"]
    told = json.loads((tmp_path / "o/refinement.json").read_text())
    assert refined_names(told) == [view.name for view in wrong.views]
    record = load(tmp_path / "o/scene.npz").refinement
    assert record is not None
    assert record.refined == 5


def test_a_saved_scene_is_refined_with_what_is_known(refine, wrong, photos, tmp_path) -> None:
    poses = [camera.world_from_camera.tolist() for camera in a_corner().cameras]
    views = {view.name: pose for view, pose in zip(wrong.views[:3], poses, strict=False)}
    (tmp_path / "known.json").write_text(json.dumps({"poses": {"views": views, "metric": True}}))
    done = refine("--photos", photos, "--priors", tmp_path / "known.json")
    assert done.code == 0, done.err
    assert "axes: known poses; scale: metric (known poses)" in done.err
    record = json.loads((tmp_path / "o/refinement.json").read_text())
    assert {check["status"] for check in record["priors"]} == {"agrees"}
    scene = load(tmp_path / "o/scene.npz")
    for camera, pose in zip(scene.cameras, poses, strict=True):
        assert camera is not None
        torch.testing.assert_close(camera.world_from_camera, torch.tensor(pose), rtol=0, atol=0.01)


def test_priors_of_other_photos_are_refused_before_the_work(refine, tmp_path) -> None:
    (tmp_path / "known.json").write_text('{"intrinsics": {"other.png": {"focal_px": 225}}}')
    assert_refused(refine("--priors", tmp_path / "known.json", "--quiet"), "other.png")


def test_a_folder_without_the_photos_is_refused(refine, tmp_path) -> None:
    assert_refused(refine("--photos", tmp_path), "none of the scene's photos is in")


def test_without_pycolmap_the_extra_is_named(reconstruct, photos, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    outcome = reconstruct(photos, tmp_path / "o", "--refine")
    assert_refused(outcome, "pip install 'fast3r[refine]'")
