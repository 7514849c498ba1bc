"""What is saved from the viewer is what it shows."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.viz.viewer import saving, selection
from fast3r.viz.viewer.page import Viewer
from tests.ply_points import read_points
from tests.scenes import make_scene, without_cameras
from tests.viz.pages import painted, viewing


def saved(viewer: Viewer, name: str, folder: Path) -> Path:
    viewer.saving.name.value = name
    path = folder / name
    path.write_bytes(viewer.saving.file())
    return path


def test_the_ply_holds_the_points_that_are_shown_in_their_colours(tmp_path: Path) -> None:
    with viewing(make_scene()) as viewer:
        viewer.controls.photos.hidden.value = "2-3"
        viewer.controls.points.percentile.value = 60
        viewer.controls.points.color_by.value = "view"
        written = read_points(saved(viewer, "scene.ply", tmp_path))
        cloud = viewer.cloud()
    assert len(cloud) < len(make_scene().point_cloud(min_conf_percentile=60))
    assert torch.equal(written.points, cloud.points)
    assert torch.equal(written.colors, cloud.colors)
    assert len(written.colors.unique(dim=0)) == 2


def test_full_resolution_saves_what_the_page_thins(tmp_path: Path) -> None:
    with viewing(make_scene()) as viewer:
        settings = viewer.controls.settings
        viewer.controls.settings = lambda: replace(settings(), max_points=200)
        viewer.refresh()
        viewer.saving.all_pixels.value = False
        thin = read_points(saved(viewer, "scene.ply", tmp_path)).points
        viewer.saving.all_pixels.value = True
        full = read_points(saved(viewer, "scene.ply", tmp_path)).points
    assert len(thin) <= 200
    assert len(full) == len(make_scene().point_cloud())


def test_the_glb_holds_the_cameras_that_are_shown(tmp_path: Path) -> None:
    with viewing(make_scene()) as viewer:
        viewer.controls.photos.hidden.value = "1"
        content = saved(viewer, "scene.glb", tmp_path).read_bytes()
    length = struct.unpack("<I", content[12:16])[0]
    document = json.loads(content[20 : 20 + length])
    lines = document["accessors"][2]["count"]
    assert lines == 3 * 16


def test_the_npz_holds_the_whole_scene_in_the_scale_that_was_set(tmp_path: Path) -> None:
    scene = make_scene()
    with viewing(scene) as viewer:
        viewer.controls.photos.hidden.value = "1"
        viewer.measure.factor, viewer.measure.scale = 2.0, Scale("metric", "measured")
        loaded = Reconstruction.load(saved(viewer, "scene.npz", tmp_path))
    assert loaded.registered == [0, 1, 2, 3]
    assert loaded.scale == Scale("metric", "measured")
    torch.testing.assert_close(loaded.depth[1], 2 * scene.depth[1])


def test_the_page_of_what_is_shown_can_be_saved(tmp_path: Path) -> None:
    with viewing(make_scene()) as viewer:
        assert saved(viewer, "scene.html", tmp_path).stat().st_size > 100_000


def test_nothing_shown_cannot_be_saved() -> None:
    with viewing(make_scene()) as viewer:
        viewer.controls.photos.hidden.value = "1-4"
        with pytest.raises(ValueError, match="no point is shown; show more views"):
            viewer.saving.file()


def test_more_points_than_a_browser_could_hold_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selection, "_MOST_POINTS", 1000)
    with viewing(make_scene()) as viewer:
        with pytest.raises(ValueError, match="million points are too many for a browser"):
            viewer.saving.file()
        viewer.saving.all_pixels.value = False
        assert viewer.saving.file()


def test_a_file_that_no_browser_could_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "_MOST_BYTES", 1000)
    with viewing(make_scene()) as viewer, pytest.raises(ValueError, match="use 'fast3r export'"):
        viewer.saving.file()


def test_what_goes_wrong_is_told_in_the_page_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with viewing(make_scene()) as viewer:
        viewer.controls.photos.hidden.value = "1-4"
        viewer.saving._send(SimpleNamespace(client=object()), "scene.ply", viewer.saving._made)
        assert viewer.messages.latest.startswith("Making scene.ply: no point is shown")
        assert "no point is shown" in caplog.text


def test_a_fault_of_ours_is_told_and_raised(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_client: object) -> bytes:
        raise KeyError("nodes")

    with viewing(make_scene()) as viewer:
        with pytest.raises(KeyError):
            viewer.saving._send(SimpleNamespace(client=object()), "scene.ply", broken)
        assert "this is a bug" in viewer.messages.latest


class FakeBrowser:
    """Draws its own place instead of a scene."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.camera = SimpleNamespace(
            position=np.array([3.0, 0, -1]),
            look_at=np.array([0.0, 0, 0]),
            up_direction=np.array([0.0, 0, 2]),
            fov=1.0,
            image_height=90,
            image_width=160,
        )

    def get_render(self, height: int, width: int, **options) -> np.ndarray:
        self.asked.append(options)
        channels = 4 if options.get("transport_format") == "png" else 3
        return np.full((height, width, channels), 7 * len(self.asked) % 256, np.uint8)


def test_a_turntable_goes_once_around_at_one_height_and_distance() -> None:
    browser = FakeBrowser()
    film = saving.turntable_of(browser, kind="gif", seconds=1.0)
    assert film[:6] == b"GIF89a"
    places = np.array([options["position"] for options in browser.asked])
    assert len(places) == saving._FPS
    np.testing.assert_allclose(places[0], [3, 0, -1], atol=1e-9)
    np.testing.assert_allclose(places[:, 2], -1, atol=1e-9)
    np.testing.assert_allclose(np.hypot(places[:, 0], places[:, 1]), 3)
    angles = np.unwrap(np.arctan2(places[:, 1], places[:, 0]))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / len(places), rtol=1e-6)


def test_a_still_is_what_the_browser_shows_on_white() -> None:
    browser = FakeBrowser()
    assert saving.still_of(browser)[:8] == b"\x89PNG\r\n\x1a\n"
    assert browser.asked[0]["transport_format"] == "png"


def test_hidden_views_have_a_reason() -> None:
    scene = saving.only_views(without_cameras(make_scene(), 1), {0, 1})
    assert scene.registered == [0]
    assert scene.failures[1:] == ["too few sure points"] + 2 * ["hidden in the viewer"]


def test_a_scene_in_its_own_scale_is_left_alone() -> None:
    scene = painted((1, 2, 3))
    assert saving.scene_in_scale(scene, 1.0, scene.scale) is scene
