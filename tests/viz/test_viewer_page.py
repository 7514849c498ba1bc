"""The controls of the viewer do what they say."""

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fast3r.models.prediction import Pointmap
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.viewer.page import Viewer, show
from tests.scenes import make_scene, without_cameras
from tests.viz.pages import painted, viewing


def nodes(viewer: Viewer, pattern: str) -> dict[str, object]:
    """Return what is seen in the page, of the nodes with such names."""
    found = viewer._server.scene._handle_from_node_name
    return {n: h for n, h in found.items() if re.fullmatch(pattern, n) and h.visible}


def drawn_views(viewer: Viewer) -> set[int]:
    return {int(name.split("/")[2]) for name in nodes(viewer, r"/points/\d+/\d+")}


def drawn_colors(viewer: Viewer) -> np.ndarray:
    return np.concatenate([h.colors for h in nodes(viewer, r"/points/\d+/\d+").values()])


def sizes(viewer: Viewer) -> list[float]:
    return [h.point_size for h in nodes(viewer, r"/points/\d+/\d+").values()]


def test_every_registered_view_is_drawn_with_its_camera() -> None:
    with viewing(without_cameras(make_scene(), 1)) as viewer:
        assert drawn_views(viewer) == {0, 1, 2}
        assert set(nodes(viewer, r"/cameras/\d+")) == {"/cameras/0", "/cameras/2", "/cameras/3"}
        assert "**3** of 3 photos" in viewer.controls.status.content


def test_what_is_sent_are_the_points_of_the_scene() -> None:
    scene = make_scene()
    with viewing(scene) as viewer:
        sent = np.concatenate(
            [h.points + h.position for h in nodes(viewer, r"/points/\d+/\d+").values()]
        )
        expected = scene.point_cloud().points.numpy()
        assert len(sent) == len(expected)
        np.testing.assert_allclose(np.sort(sent[:, 2]), np.sort(expected[:, 2]), atol=0.01)


def test_the_colour_tells_what_was_chosen() -> None:
    with viewing(painted((0, 200, 0))) as viewer:
        assert (drawn_colors(viewer) == (0, 200, 0)).all()
        by = viewer.controls.points.color_by
        by.value = "view"
        assert len(np.unique(drawn_colors(viewer), axis=0)) == 3
        by.value = "confidence"
        assert len(np.unique(drawn_colors(viewer), axis=0)) > 100
        by.value = "photo"
        assert (drawn_colors(viewer) == (0, 200, 0)).all()


def test_colours_of_confidence_are_brighter_where_it_is_higher() -> None:
    scene = make_scene()
    with viewing(scene) as viewer:
        viewer.controls.points.color_by.value = "confidence"
        cloud = viewer.cloud()
    order = cloud.confidence.argsort()
    brightness = cloud.colors[order].float().mean(dim=-1)
    assert (brightness.diff() >= -1).all()


def test_colours_of_height_are_brighter_further_up() -> None:
    with viewing(make_scene()) as viewer:
        viewer.controls.points.color_by.value = "height"
        cloud = viewer.cloud()
        up = viewer._base.frame.up.float()
    brightness = cloud.colors[(cloud.points @ up).argsort()].float().mean(dim=-1)
    assert (brightness.diff() >= -1).all()


def test_colours_are_sent_only_for_points_that_are_seen() -> None:
    with viewing(painted((0, 200, 0))) as viewer:
        photos = viewer.controls.photos
        photos.hidden.value = "2"
        viewer.controls.points.color_by.value = "view"
        hidden = viewer._server.scene._handle_from_node_name["/points/1/0"]
        assert (hidden.colors == (0, 200, 0)).all()
        photos.hidden.value = ""
        assert hidden.visible
        assert not (hidden.colors == (0, 200, 0)).all()


@pytest.mark.parametrize("percentile", [0, 50, 99])
def test_the_least_sure_points_of_each_view_are_left_out(percentile: int) -> None:
    scene = make_scene()
    with viewing(scene) as viewer:
        viewer.controls.points.percentile.value = percentile
        assert len(viewer.cloud()) == len(scene.point_cloud(min_conf_percentile=percentile))


def test_points_become_larger_without_being_sent_again() -> None:
    with viewing(make_scene()) as viewer:
        before, handles = sizes(viewer), list(nodes(viewer, r"/points/.*").values())
        viewer.controls.points.size.value = 2.0
        assert sizes(viewer) == pytest.approx([2 * size for size in before])
        assert list(nodes(viewer, r"/points/.*").values()) == handles


def test_no_more_points_are_drawn_than_wanted_and_each_is_larger() -> None:
    with viewing(make_scene()) as viewer:
        viewer.controls.points.percentile.value = 0
        settings = viewer.controls.settings
        before = np.mean(sizes(viewer))
        viewer.controls.settings = lambda: replace(settings(), max_points=400)
        viewer.refresh()
        assert 300 < len(drawn_colors(viewer)) <= 400
        assert np.mean(sizes(viewer)) > 1.5 * before


def test_photos_are_shown_up_to_the_current_one_or_only_that_one() -> None:
    with viewing(make_scene()) as viewer:
        photos = viewer.controls.photos
        photos.span.value = "up to this photo"
        assert drawn_views(viewer) == {0}
        photos.current.value = 3
        assert drawn_views(viewer) == {0, 1, 2}
        photos.span.value = "only this photo"
        assert drawn_views(viewer) == {2}
        assert set(nodes(viewer, r"/cameras/\d+")) == {"/cameras/2"}
        photos.span.value = "all photos"
        assert drawn_views(viewer) == {0, 1, 2, 3}


def test_steps_go_round() -> None:
    with viewing(make_scene()) as viewer:
        viewer._step(-1)
        assert viewer.controls.photos.current.value == 4
        assert "IMG_3.jpg" in viewer.controls.photos.name.content
        viewer._step(1)
        assert viewer.controls.photos.current.value == 1


def test_playback_shows_one_photo_after_the_other_until_it_is_stopped() -> None:
    with viewing(make_scene()) as viewer:
        photos = viewer.controls.photos
        photos.rate.value = 60.0
        photos.playing.value = True
        deadline = time.monotonic() + 20
        while photos.current.value < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        photos.playing.value = False
        assert photos.span.value == "up to this photo"
        time.sleep(0.1)
        reached = photos.current.value
        assert reached >= 3 or reached == 1
        time.sleep(0.2)
        assert photos.current.value == reached


def test_views_are_hidden_and_shown_again() -> None:
    with viewing(make_scene()) as viewer:
        photos = viewer.controls.photos
        photos.current.value = 2
        viewer._toggle_hidden()
        assert photos.hidden.value == "2"
        assert drawn_views(viewer) == {0, 2, 3}
        assert "/cameras/1" not in nodes(viewer, r"/cameras/\d+")
        viewer._toggle_hidden()
        assert drawn_views(viewer) == {0, 1, 2, 3}


def test_a_list_of_hidden_photos_that_cannot_be_read_is_told_in_the_page(caplog) -> None:
    with viewing(make_scene()) as viewer:
        viewer.controls.photos.hidden.value = "7"
        assert viewer.messages.latest == "Drawing: there are photos 1 to 4, got '7'"
        assert "there are photos 1 to 4" in caplog.text
        assert drawn_views(viewer) == {0, 1, 2, 3}


def unequally_sure() -> Reconstruction:
    scene = make_scene()
    confidence = [1 + (c - 1) * (3 if i % 2 else 1) for i, c in enumerate(scene.confidence)]
    return replace(scene, confidence=confidence)


def test_moving_the_threshold_shows_other_views_at_once() -> None:
    with viewing(unequally_sure()) as viewer:
        photos = viewer.controls.photos
        assert drawn_views(viewer) == {0, 1, 2, 3}
        photos.sure_from.value = 8.0
        assert drawn_views(viewer) == {1, 3}
        photos.sure_from.value = 1.0
        assert drawn_views(viewer) == {0, 1, 2, 3}


def test_the_world_head_can_be_looked_at_where_it_was_kept() -> None:
    scene = make_scene()
    shift = torch.tensor([0.0, 0.0, 10.0])
    maps = [Pointmap(scene.world_points(i) + shift, scene.confidence[i]) for i in range(4)]
    with viewing(replace(scene, world_pointmaps=maps)) as viewer:
        head = viewer.controls.points.head
        assert head.visible
        before = viewer.cloud().points
        head.value = "world pointmaps (global head)"
        torch.testing.assert_close(viewer.cloud().points, before + shift, atol=1e-3, rtol=1e-4)


def test_the_world_head_is_not_offered_where_it_was_not_kept() -> None:
    with viewing(make_scene()) as viewer:
        assert not viewer.controls.points.head.visible


def test_the_box_leaves_only_what_is_inside() -> None:
    with viewing(make_scene()) as viewer:
        crop = viewer.controls.crop
        crop.on.value = True
        whole = len(viewer.cloud())
        low, high = crop.ranges[0].value
        crop.ranges[0].value = (low, (low + high) / 2)
        local = viewer._base.local(viewer.cloud().points)
        assert 0 < len(local) < whole
        assert (local[:, 0] <= (low + high) / 2 + 1e-5).all()
        assert "/crop" in nodes(viewer, "/crop")
        crop.open_up()
        assert len(viewer.cloud()) == whole
        crop.on.value = False
        assert not nodes(viewer, "/crop")


def test_sky_is_masked() -> None:
    scene = painted((60, 50, 20))
    for view in scene.views:
        view.pixels[:12] = torch.tensor([120, 170, 240], dtype=torch.uint8)
    with viewing(scene) as viewer:
        assert (drawn_colors(viewer)[:, 2] == 240).any()
        viewer.controls.points.mask_sky.value = True
        assert not (drawn_colors(viewer)[:, 2] == 240).any()


def test_cameras_can_be_switched_off_and_resized() -> None:
    with viewing(make_scene()) as viewer:
        photos = viewer.controls.photos
        before = viewer._server.scene._handle_from_node_name["/cameras/0"].scale
        photos.camera_size.value = 2.0
        after = viewer._server.scene._handle_from_node_name["/cameras/0"].scale
        assert after == pytest.approx(2 * before)
        photos.cameras.value = False
        assert not nodes(viewer, r"/cameras/\d+")
        assert drawn_views(viewer) == {0, 1, 2, 3}


def test_who_looks_through_a_camera_sees_its_photo_before_the_points() -> None:
    scene = make_scene()
    with viewing(scene) as viewer:
        photos = viewer.controls.photos
        photos.current.value = 2
        photos.look.value = True
        (photo,) = nodes(viewer, "/photo").values()
        pose = scene.cameras[1].world_from_camera.double()
        ahead = pose[:3, :3].T @ (torch.from_numpy(photo.position) - pose[:3, 3])
        assert 0 < ahead[2] < 0.1
        intrinsics = scene.network_intrinsics(1)
        width = (24 * ahead[2] / intrinsics[0, 0]).item()
        assert photo.render_width == pytest.approx(width, rel=1e-3)
        assert not nodes(viewer, r"/cameras/\d+")
        photos.look.value = False
        assert not nodes(viewer, "/photo")
        assert len(nodes(viewer, r"/cameras/\d+")) == 4


def test_a_scene_without_cameras_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the 1 views has a camera"):
        Viewer(without_cameras(make_scene(("landscape",)), 0), port=0)


def test_one_view_can_be_shown() -> None:
    with viewing(make_scene(("landscape",))) as viewer:
        assert drawn_views(viewer) == {0}
        viewer._step(1)
        assert drawn_views(viewer) == {0}


def test_show_prints_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    viewer = show(make_scene(("landscape",)), port=0)
    viewer.stop()
    assert capsys.readouterr().out == f"{viewer.url}\n"
    assert viewer.url.startswith("http://127.0.0.1:")


def test_a_taken_port_is_given_up_for_a_free_one() -> None:
    with viewing(make_scene(("landscape",))) as first:
        second = Viewer(make_scene(("landscape",)), port=first.port)
        second.stop()
        assert second.port != first.port


def test_the_page_is_for_this_machine_only_unless_told(tmp_path: Path) -> None:
    with viewing(make_scene(("landscape",))) as viewer:
        assert viewer.is_local
        assert viewer._server.get_host() == "127.0.0.1"


@pytest.mark.parametrize(
    ("color_by", "words"),
    [
        ("view", "From red, the first photo"),
        ("confidence", "Confidence 1.2 is dark, 8.8 is bright"),
        ("height", "units up"),
    ],
)
def test_the_panel_says_what_colours_mean(color_by: str, words: str) -> None:
    with viewing(make_scene()) as viewer:
        viewer.controls.points.color_by.value = color_by
        assert words in viewer.controls.status.content
