"""`fast3r reconstruct --refine` and `fast3r refine`."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from fast3r.cli import main
from fast3r.export.formats import load
from fast3r.scene.reconstruction import Reconstruction
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


def test_reconstruct_refines_and_reports(photos, wrong, tmp_path, monkeypatch, capfd) -> None:
    model = PlayedBack(predictions(wrong))
    monkeypatch.setattr("fast3r.cli.reconstruct.load_model", lambda name, **_: model)
    code = main(["reconstruct", str(photos), "--output", str(tmp_path / "out"), "--refine"])
    said = capfd.readouterr()
    assert code == 0, said.err
    assert said.out == f"{tmp_path / 'out'}\n"
    assert "5 of 5 cameras refined; median reprojection error" in said.err
    record = json.loads((tmp_path / "out/report.json").read_text())["refinement"]
    assert refined_names(record) == [view.name for view in wrong.views]
    assert record["after_px"] < 0.3 < 1 < record["before_px"]


def test_without_refine_the_report_has_no_refinement(photos, wrong, tmp_path, monkeypatch) -> None:
    model = PlayedBack(predictions(wrong))
    monkeypatch.setattr("fast3r.cli.reconstruct.load_model", lambda name, **_: model)
    main(["reconstruct", str(photos), "--output", str(tmp_path / "out")])
    assert json.loads((tmp_path / "out/report.json").read_text())["refinement"] is None


def test_a_saved_scene_is_refined_with_its_photos(photos, wrong, tmp_path, capfd) -> None:
    wrong.save(tmp_path / "scene.npz")
    words = [str(tmp_path / "scene.npz"), "--photos", str(photos), "--output", str(tmp_path / "o")]
    assert main(["refine", *words]) == 0
    assert "5 of 5 cameras refined" in capfd.readouterr().err
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == ["cameras.json", "refinement.json", "scene.npz", "scene.ply"]
    told = json.loads((tmp_path / "o/refinement.json").read_text())
    assert refined_names(told) == [view.name for view in wrong.views]
    record = load(tmp_path / "o/scene.npz").refinement
    assert record is not None
    assert record.refined == 5


def test_a_saved_scene_is_refined_with_what_is_known(wrong, photos, tmp_path, capfd) -> None:
    poses = [camera.world_from_camera.tolist() for camera in a_corner().cameras]
    views = {view.name: pose for view, pose in zip(wrong.views[:3], poses, strict=False)}
    (tmp_path / "known.json").write_text(json.dumps({"poses": {"views": views, "metric": True}}))
    wrong.save(tmp_path / "scene.npz")
    words = [str(tmp_path / "scene.npz"), "--photos", str(photos), "--output", str(tmp_path / "o")]
    assert main(["refine", *words, "--priors", str(tmp_path / "known.json")]) == 0
    assert "axes: known poses; scale: metric (known poses)" in capfd.readouterr().err
    record = json.loads((tmp_path / "o/refinement.json").read_text())
    assert {check["status"] for check in record["priors"]} == {"agrees"}
    scene = load(tmp_path / "o/scene.npz")
    for camera, pose in zip(scene.cameras, poses, strict=True):
        assert camera is not None
        torch.testing.assert_close(camera.world_from_camera, torch.tensor(pose), rtol=0, atol=0.01)


def test_priors_of_other_photos_are_refused_before_the_work(wrong, tmp_path, capfd) -> None:
    (tmp_path / "known.json").write_text('{"intrinsics": {"other.png": {"focal_px": 225}}}')
    wrong.save(tmp_path / "scene.npz")
    words = [str(tmp_path / "scene.npz"), "--output", str(tmp_path / "o")]
    assert main(["refine", *words, "--priors", str(tmp_path / "known.json")]) == 2
    assert "other.png" in capfd.readouterr().err


def test_a_folder_without_the_photos_is_refused(wrong, tmp_path, capfd) -> None:
    wrong.save(tmp_path / "scene.npz")
    words = [str(tmp_path / "scene.npz"), "--photos", str(tmp_path), "--output", str(tmp_path)]
    assert main(["refine", *words]) == 2
    assert "none of the scene's photos is in" in capfd.readouterr().err


def test_without_pycolmap_the_extra_is_named(photos, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    assert main(["reconstruct", str(photos), "--output", str(tmp_path / "o"), "--refine"]) == 2
    assert "pip install 'fast3r[refine]'" in capfd.readouterr().err
