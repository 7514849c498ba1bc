"""Priors as they stand in files."""

import json
import math
from pathlib import Path

import pytest
import torch

from fast3r.geometry.lenses import Lens
from fast3r.scene.priors.camera_files import read_known_cameras
from fast3r.scene.priors.reading import read_priors
from fast3r.scene.priors.types import (
    DepthMaps,
    Distance,
    Gps,
    Gravity,
    Intrinsics,
    Poses,
    Priors,
    Spot,
)

POSE = torch.eye(4).tolist()


def written(folder: Path, document: object, name: str = "priors.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document))
    return path


def test_every_part_is_read(tmp_path: Path) -> None:
    document = {
        "intrinsics": {
            "*": {"focal_px": 1200, "size": [4000, 3000]},
            "a.jpg": {"focal_px": [9, 8]},
        },
        "gps": {"views": {"a.jpg": [46.9, 7.4]}, "horizontal_sigma_m": 1},
        "gravity": {"views": [[0, 1, 0]], "sigma_deg": 5},
        "rigs": [{"cameras": {"l": POSE, "r": POSE}, "frames": [{"l": "a.jpg"}], "metric": False}],
        "distances": [
            {"metres": 2, "between": [{"view": "a.jpg", "pixel": [1, 2]}, "b.jpg"]},
            {"metres": 3, "between": ["a.jpg", "b.jpg"], "relative_error": 0.1},
        ],
        "depth": {"folder": "depth", "png_unit_m": 0.0002},
    }
    found = read_priors(written(tmp_path, document))
    assert found.intrinsics == {
        "*": Intrinsics(1200, size=(4000, 3000)),
        "a.jpg": Intrinsics((9, 8)),
    }
    assert found.gps is not None
    assert isinstance(found.gps.positions, dict)
    assert found.gps.positions["a.jpg"][:2] == (46.9, 7.4)
    assert math.isnan(found.gps.positions["a.jpg"][2])
    assert found.gps.horizontal_sigma_m == 1
    assert found.gravity == Gravity([(0, 1, 0)], 5)
    assert found.distances == (
        Distance(2, (Spot("a.jpg", (1, 2)), "b.jpg")),
        Distance(3, ("a.jpg", "b.jpg"), 0.1),
    )
    assert found.depth == DepthMaps(tmp_path / "depth", 0.0002)
    (rig,) = found.rigs
    assert rig.frames == [{"l": "a.jpg"}]
    assert not rig.metric


def test_short_forms_are_read(tmp_path: Path) -> None:
    document = {"intrinsics": "exif", "gps": "exif", "gravity": "upright", "depth": "d"}
    found = read_priors(written(tmp_path, document))
    expected = Priors("exif", gps=Gps(), gravity=Gravity(), depth=DepthMaps(tmp_path / "d"))
    assert found == expected


def test_poses_and_matrices_are_read(tmp_path: Path) -> None:
    matrix = [[900, 0, 320], [0, 910, 240], [0, 0, 1]]
    document = {
        "poses": {"views": {"a.jpg": POSE[:3]}, "metric": True, "position_sigma": 0.1},
        "intrinsics": [{"matrix": matrix}],
    }
    found = read_priors(written(tmp_path, document))
    assert found.intrinsics == [Intrinsics((900, 910), (320, 240))]
    assert isinstance(found.poses, Poses)
    assert found.poses.metric
    assert found.poses.position_sigma == 0.1


def test_yaml_says_the_same(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "p.yaml").write_text(
        "distances:\n  - metres: 2.0\n    between: [a.jpg, {view: b.jpg, pixel: [3, 4]}]\n"
    )
    expected = (Distance(2.0, ("a.jpg", Spot("b.jpg", (3, 4)))),)
    assert read_priors(tmp_path / "p.yaml").distances == expected


def test_yaml_without_its_package_is_explained(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    (tmp_path / "p.yaml").write_text("gps: exif\n")
    with pytest.raises(ImportError, match="pip install pyyaml, or write the file as JSON"):
        read_priors(tmp_path / "p.yaml")


@pytest.mark.parametrize("name", ["p.json", "p.yaml"])
def test_a_key_that_is_there_twice_is_refused(name: str, tmp_path: Path) -> None:
    if name == "p.yaml":
        pytest.importorskip("yaml")
    (tmp_path / name).write_text('{"gps": "exif", "gps": "exif"}')
    with pytest.raises(ValueError, match="'gps' is there twice"):
        read_priors(tmp_path / name)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "the file must be an object"),
        ({"focal": 3}, "has 'focal'; known are cameras, intrinsics"),
        ({"intrinsics": {"*": {}}}, r"intrinsics\['\*'\] needs either focal_px or matrix"),
        ({"intrinsics": {"*": {"focal_px": "9"}}}, "focal_px must be a number, is '9'"),
        ({"intrinsics": {"*": {"focal_px": 9, "fov": 1}}}, "has 'fov'"),
        ({"intrinsics": {"*": {"matrix": [[1, 2, 3]] * 3}}}, "matrix must be"),
        ({"poses": {}}, "poses needs 'views'"),
        ({"poses": {"views": {"a": [[1, 2], [3, 4]]}}}, "must be 4x4 numbers, has 2 rows"),
        ({"poses": {"views": {}, "metric": 1}}, "metric must be true or false"),
        ({"gps": {"views": {"a": [1]}}}, "3 numbers .latitude, longitude, altitude."),
        ({"gravity": "down"}, "gravity must be an object"),
        ({"distances": {"metres": 2}}, "distances must be a list"),
        ({"distances": [{"between": ["a", "b"]}]}, r"distances\[0\] needs 'metres'"),
        ({"distances": [{"metres": 1, "between": ["a"]}]}, "must be 2 ends, is 1"),
        ({"depth": 3}, "depth must be an object"),
        ({"cameras": {"file": "x", "use": "all"}}, "use must be both, intrinsics or poses"),
    ],
)
def test_what_does_not_belong_is_named(document: object, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, document)
    with pytest.raises(ValueError, match=rf"priors\.json: .*{message}.*docs/priors\.md"):
        read_priors(path)


def test_a_file_that_is_no_json_is_explained(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("{")
    with pytest.raises(ValueError, match=r"p\.json cannot be read"):
        read_priors(tmp_path / "p.json")


def test_the_same_thing_from_two_places_is_refused() -> None:
    with pytest.raises(ValueError, match="gps are given twice"):
        Priors(gps=Gps()).joined(Priors(gps=Gps({})))


def write_transforms(folder: Path, **changes: object) -> Path:
    frames = [{"file_path": "images/a.jpg", "transform_matrix": POSE}]
    document = {"w": 640, "h": 480, "fl_x": 500.0, "cx": 320, "cy": 240, "frames": frames}
    return written(folder, document | changes, "transforms.json")


def test_cameras_of_other_programs_are_intrinsics_and_poses(tmp_path: Path) -> None:
    write_transforms(tmp_path)
    for path in (tmp_path, tmp_path / "transforms.json"):
        found = read_known_cameras(path)
        assert found.intrinsics == {"images/a.jpg": Intrinsics((500, 500), (320, 240), (640, 480))}
        assert found.poses is not None
        assert not found.poses.metric
        assert found.other_photos


def test_cameras_of_a_file_are_relative_to_it(tmp_path: Path) -> None:
    write_transforms(tmp_path)
    document = {"cameras": {"file": "transforms.json", "use": "poses", "metric": True}}
    found = read_priors(written(tmp_path, document))
    assert found.intrinsics is None
    assert found.poses is not None
    assert found.poses.metric


def test_our_own_metric_cameras_are_metric(tmp_path: Path) -> None:
    view = {"name": "a.jpg", "width": 640, "height": 480, "registered": True}
    view |= {"intrinsics": [[500, 0, 320], [0, 500, 240], [0, 0, 1]], "world_from_camera": POSE}
    path = written(tmp_path, {"views": [view], "scale": "metric"}, "cameras.json")
    found = read_known_cameras(path)
    assert found.poses is not None
    assert found.poses.metric


def test_a_lens_that_bends_lines_is_known(tmp_path: Path) -> None:
    known = read_known_cameras(write_transforms(tmp_path, k1=0.1))
    (lens,) = known.lenses.values()
    assert (lens.model, lens.coefficients["k1"]) == ("OPENCV", 0.1)


def test_a_lens_of_no_known_model_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = write_transforms(tmp_path, camera_model="FOV", k1=0.1)
    with pytest.raises(ValueError, match=r"lens of images/a\.jpg: .*'FOV'.*undistort"):
        read_known_cameras(path)
    assert read_known_cameras(path, use="poses").poses is not None


def test_a_lens_is_read_from_the_file(tmp_path: Path) -> None:
    entry = {"model": "opencv", "parameters": [500, 501, 320, 240, 0.1, 0, 0, 0]}
    path = written(tmp_path, {"intrinsics": {"*": entry | {"size": [640, 480]}}})
    expected = Lens("OPENCV", (500, 501, 320, 240, 0.1, 0, 0, 0), 640, 480)
    assert read_priors(path).lenses == {"*": expected}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": None}, r"intrinsics\['\*'\].size must be a list"),
        ({"parameters": [1, 2]}, r"intrinsics\['\*'\]: RADIAL has 5 parameters .* got 2"),
        ({"model": "ROUND"}, r"intrinsics\['\*'\]: no lens is called 'ROUND'"),
        ({"focal_px": 3}, r"intrinsics\['\*'\] has 'focal_px'; known are model"),
    ],
)
def test_what_is_no_lens_is_named(changes: dict, message: str, tmp_path: Path) -> None:
    entry = {"model": "RADIAL", "parameters": [500, 320, 240, 0.1, 0], "size": [640, 480]}
    with pytest.raises(ValueError, match=message):
        read_priors(written(tmp_path, {"intrinsics": {"*": entry | changes}}))


def test_a_folder_without_cameras_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no known cameras; expected a COLMAP model"):
        read_known_cameras(tmp_path)


def test_a_photo_with_two_cameras_is_refused(tmp_path: Path) -> None:
    frames = [{"file_path": "a.jpg", "transform_matrix": POSE}] * 2
    with pytest.raises(ValueError, match=r"two cameras for 'a\.jpg'"):
        read_known_cameras(write_transforms(tmp_path, frames=frames))
