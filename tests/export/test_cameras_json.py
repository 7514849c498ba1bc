"""cameras.json, as interfaces promise it."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from fast3r.export import cameras_json
from fast3r.scene.reconstruction import Scale, World
from tests.scenes import make_scene, without_cameras


def test_every_view_is_listed_with_its_camera_in_pixels_of_the_photo(tmp_path: Path) -> None:
    scene = make_scene()
    cameras_json.write(scene, tmp_path / "cameras.json")
    document = json.loads((tmp_path / "cameras.json").read_text())
    assert document["version"] == 1
    assert document["scale"] == "arbitrary"
    for entry, view, camera in zip(document["views"], scene.views, scene.cameras, strict=True):
        assert entry["name"] == view.name
        assert (entry["height"], entry["width"]) == (view.original_height, view.original_width)
        assert entry["registered"] is True
        assert torch.equal(torch.tensor(entry["intrinsics"]), camera.intrinsics)
        assert torch.equal(torch.tensor(entry["world_from_camera"]), camera.world_from_camera)


def test_a_view_without_camera_has_nulls_and_its_size(tmp_path: Path) -> None:
    scene = without_cameras(make_scene(), 0, 1, 2, 3)
    cameras_json.write(scene, tmp_path / "cameras.json")
    entry = json.loads((tmp_path / "cameras.json").read_text())["views"][1]
    assert entry == {
        "name": "day1/IMG_1.jpg",
        "width": 3000,
        "height": 4000,
        "intrinsics": None,
        "world_from_camera": None,
        "registered": False,
    }


def test_a_metric_scale_is_told(tmp_path: Path) -> None:
    scene = replace(make_scene(), scale=Scale("metric", "GPS"))
    cameras_json.write(scene, tmp_path / "cameras.json")
    assert json.loads((tmp_path / "cameras.json").read_text())["scale"] == "metric"


def test_the_place_on_the_earth_is_told_where_it_is_known(tmp_path: Path) -> None:
    scene = make_scene()
    cameras_json.write(scene, tmp_path / "cameras.json")
    assert "origin" not in json.loads((tmp_path / "cameras.json").read_text())
    world = World("east north up", (46.5, 8.25, 1800.0))
    cameras_json.write(replace(scene, world=world), tmp_path / "cameras.json")
    document = json.loads((tmp_path / "cameras.json").read_text())
    assert document["axes"] == "east north up"
    assert document["origin"] == {
        "latitude_deg": 46.5,
        "longitude_deg": 8.25,
        "altitude_m": 1800.0,
    }
