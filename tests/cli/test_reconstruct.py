"""`fast3r reconstruct`: what it writes and prints."""

import json
import re

import pytest

from fast3r import __version__
from fast3r.export.formats import load
from fast3r.models.fast3r import Fast3R
from tests.commands import assert_refused
from tests.ply_points import read_points
from tests.scene.playback import SIZE, PlayedBack, nonsense, predicted, save_photos


def test_reconstruct_writes_cameras_points_and_report(reconstruct, photos, tmp_path) -> None:
    outcome = reconstruct(photos, tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cameras.json",
        "report.json",
        "scene.ply",
    ]


@pytest.mark.parametrize("options", [[], ["--keep-world"]])
def test_the_world_pointmaps_are_kept_when_asked_for(
    reconstruct, photos, tmp_path, options
) -> None:
    reconstruct(photos, tmp_path, "--format", "npz", *options)
    kept = load(tmp_path / "scene.npz").world_pointmaps
    assert (kept is not None) == bool(options)


def test_stdout_is_the_output_folder_and_nothing_else(reconstruct, photos, tmp_path) -> None:
    assert reconstruct(photos, tmp_path / "out").out == f"{tmp_path / 'out'}\n"


def test_cameras_are_in_pixels_of_the_original_photos(
    reconstruct, photos, tmp_path, truths
) -> None:
    reconstruct(photos, tmp_path / "out")
    written = json.loads((tmp_path / "out/cameras.json").read_text())
    assert written["version"] == 1
    assert written["scale"] == "arbitrary"
    assert [view["name"] for view in written["views"]] == ["0.png", "1.png", "2.png"]
    for view, truth in zip(written["views"], truths, strict=True):
        assert (view["width"], view["height"], view["registered"]) == (640, 480, True)
        (fx, _, cx), (_, fy, cy), _ = view["intrinsics"]
        assert [fx, fy, cx, cy] == pytest.approx([560, 560, 320, 240], rel=0.005)
        for row, true_row in zip(view["world_from_camera"], truth.world_from_camera, strict=True):
            assert row == pytest.approx(true_row.tolist(), abs=1e-3)


def test_points_lie_on_the_surface(reconstruct, photos, tmp_path) -> None:
    reconstruct(photos, tmp_path / "out", "--min-conf-percentile", 0)
    points = read_points(tmp_path / "out/scene.ply")
    assert len(points.points) > 0.9 * 3 * 72 * 96
    assert points.colors[0].tolist() == [0, 90, 200]


def test_min_conf_percentile_leaves_points_out(reconstruct, photos, tmp_path) -> None:
    sizes = []
    for percentile in (0, 50):
        reconstruct(photos, tmp_path / "out", "--min-conf-percentile", percentile)
        sizes.append(len(read_points(tmp_path / "out/scene.ply").points))
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.02)


def test_the_report_tells_how_the_scene_was_made(reconstruct, photos, tmp_path) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    reconstruct(photos, tmp_path / "out", "--seed", 3)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["versions"]["fast3r"] == __version__
    assert report["versions"]["torch"]
    assert report["model"] == "small"
    assert re.fullmatch("[0-9a-f]{16}", report["model_hash"])
    assert report["device"].startswith("cpu")
    assert report["precision"] == "float32"
    assert report["seed"] == 3
    assert report["options"]["share_focal"] == "camera"
    assert report["views"] == {"used": 3, "registered": 3, "left_out": 1}
    assert report["left_out"][0]["name"] == "broken.jpg"
    assert report["left_out"][0]["reason"]
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert list(stages) == [
        "load model",
        "load photos",
        "encoder and fusion",
        "pointmaps",
        "cameras",
        "write files",
    ]
    assert all(stage["seconds"] >= 0 for stage in stages.values())
    assert all(stage["host_peak_gib"] > 0.01 for stage in stages.values())


def test_a_photo_left_out_is_named_on_the_screen(reconstruct, photos, tmp_path) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    assert "broken.jpg was not used: " in reconstruct(photos, tmp_path / "out").err


def test_progress_is_told_on_stderr(reconstruct, photos, tmp_path) -> None:
    assert "pointmaps: " in reconstruct(photos, tmp_path / "out").err


def test_quiet_says_nothing(reconstruct, photos, tmp_path) -> None:
    assert reconstruct(photos, tmp_path / "out", "--quiet").err == ""


@pytest.mark.parametrize(
    "options", [["--format", "transforms", "--format", "npz"], ["--format", "transforms,npz"]]
)
def test_more_formats_can_be_asked_for(reconstruct, photos, tmp_path, options: list[str]) -> None:
    assert reconstruct(photos, tmp_path / "out", *options).code == 0
    assert (tmp_path / "out/transforms.json").is_file()
    assert len(load(tmp_path / "out/scene.npz").registered) == 3


def test_size_is_what_the_network_sees(reconstruct, tmp_path, truths, random_weights) -> None:
    save_photos(truths, tmp_path / "photos")
    options = ("--model", random_weights, "--size", SIZE // 2, "--quiet")
    reconstruct(tmp_path / "photos", tmp_path / "out", *options)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["options"]["size"] == SIZE // 2
    # The threshold is a share of the long side: half of what it is at the model's own size.
    assert "within 2.2 px" in report["unregistered"][0]["reason"]


def test_photos_can_be_named_one_by_one(fast3r, photos, tmp_path) -> None:
    named = [photos / f"{index}.png" for index in range(3)]
    outcome = fast3r("reconstruct", *named, "--output", tmp_path / "out")
    assert outcome.code == 0, outcome.err


def test_a_view_without_a_place_is_named_and_the_rest_is_written(
    reconstruct, photos, tmp_path, truths, monkeypatch
) -> None:
    predictions = [predicted(truths[0]), nonsense(truths[1].view), predicted(truths[2])]
    model = PlayedBack(predictions)
    monkeypatch.setattr("fast3r.cli.reconstruct.load_model", lambda name, **_: model)
    outcome = reconstruct(photos, tmp_path / "out")
    assert outcome.code == 0
    assert "1.png found no place: no pose fits its points" in outcome.err
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["views"] == {"used": 3, "registered": 2, "left_out": 0}
    assert [view["name"] for view in report["unregistered"]] == ["1.png"]


def test_where_no_view_finds_its_place_only_cameras_and_report_are_written(
    reconstruct, tmp_path, truths, random_weights
) -> None:
    save_photos(truths, tmp_path / "photos")
    outcome = reconstruct(
        tmp_path / "photos", tmp_path / "out", "--model", random_weights, "--quiet"
    )
    assert_refused(outcome, "none of the 3 views has a camera", "0.png")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cameras.json",
        "report.json",
    ]
    written = json.loads((tmp_path / "out/cameras.json").read_text())
    assert [view["registered"] for view in written["views"]] == [False] * 3
    assert written["views"][0]["intrinsics"] is None


def test_nothing_of_an_earlier_run_stays(reconstruct, photos, tmp_path, random_weights) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").touch()
    reconstruct(photos, tmp_path / "out", "--format", "npz,depth,transforms")
    load_random = lambda name, **_: Fast3R.from_pretrained(random_weights)  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fast3r.cli.reconstruct.load_model", load_random)
        assert reconstruct(photos, tmp_path / "out").code == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cameras.json",
        "notes.txt",
        "report.json",
    ]


def test_the_report_names_the_other_files(reconstruct, photos, tmp_path) -> None:
    reconstruct(photos, tmp_path / "out", "--format", "npz")
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["files"] == ["cameras.json", "scene.ply", "scene.npz"]


def test_a_format_that_cannot_hold_the_scene_does_not_keep_others_from_being_written(
    reconstruct, photos, tmp_path
) -> None:
    (photos / "0.png").rename(photos / "0 0.png")
    outcome = reconstruct(photos, tmp_path / "out", "--format", "colmap-text,npz")
    assert_refused(outcome, "colmap-text was not written: ", "'0 0.png'")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cameras.json",
        "report.json",
        "scene.npz",
        "scene.ply",
    ]


def test_names_cannot_write_on_the_screen(reconstruct, photos, tmp_path) -> None:
    (photos / "\x1b[31m\n.jpg").write_bytes(b"no photo")
    outcome = reconstruct(photos, tmp_path / "out")
    assert r"\x1b[31m\n.jpg was not used" in outcome.err
