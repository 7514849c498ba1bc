"""transforms.json, read as nerfstudio reads it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fast3r.export import transforms_json
from fast3r.scene.reconstruction import World
from tests.ply_points import read_points
from tests.scenes import SETS, make_scene, without_cameras


def opengl_projection(frame: dict, points: np.ndarray) -> np.ndarray:
    """Project as nerfstudio's pinhole rays do: x right, y up, looking along -z."""
    camera_from_world = np.linalg.inv(np.array(frame["transform_matrix"]))
    x, y, z = (points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]).T
    assert (z < 0).all()
    u = frame["cx"] + frame["fl_x"] * x / -z
    v = frame["cy"] - frame["fl_y"] * y / -z
    return np.stack([u, v], axis=-1)


@pytest.mark.parametrize("kinds", SETS.values(), ids=SETS.keys())
def test_points_project_onto_their_pixels_of_the_photo(
    kinds: tuple[str, ...], tmp_path: Path
) -> None:
    scene = make_scene(kinds)
    transforms_json.write(scene, tmp_path / "transforms.json")
    document = json.loads((tmp_path / "transforms.json").read_text())
    cloud = scene.point_cloud()
    for i, frame in enumerate(document["frames"]):
        of_view = (cloud.view_index == i).numpy()
        pixels = opengl_projection(frame, cloud.points.numpy()[of_view].astype(float))
        assert np.abs(pixels - cloud.pixel.numpy()[of_view]).max() < 0.05
        view = scene.views[i]
        assert (frame["w"], frame["h"]) == (view.original_width, view.original_height)
        assert frame["file_path"] == view.name


def test_only_registered_views_have_frames(tmp_path: Path) -> None:
    transforms_json.write(without_cameras(make_scene(), 0), tmp_path / "transforms.json")
    frames = json.loads((tmp_path / "transforms.json").read_text())["frames"]
    assert [f["file_path"] for f in frames] == [
        "day1/IMG_1.jpg",
        "day0/IMG_2.jpg",
        "day1/IMG_3.jpg",
    ]


def test_the_points_beside_are_in_the_world_of_the_frames(tmp_path: Path) -> None:
    scene = make_scene()
    transforms_json.write(scene, tmp_path / "transforms.json")
    document = json.loads((tmp_path / "transforms.json").read_text())
    assert document["applied_transform"] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    points = read_points(tmp_path / document["ply_file_path"]).points
    assert len(points) == len(scene.point_cloud())


def test_the_place_on_the_earth_is_told_where_it_is_known(tmp_path: Path) -> None:
    scene = replace(make_scene(), world=World("east north up", (46.5, 8.25, 1800.0)))
    transforms_json.write(scene, tmp_path / "transforms.json")
    document = json.loads((tmp_path / "transforms.json").read_text())
    assert document["origin"]["latitude_deg"] == 46.5
