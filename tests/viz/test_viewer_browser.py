"""The viewer in a real browser: what counts are pixels."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.export import html
from fast3r.scene.reconstruction import Reconstruction
from tests.viz.pages import browser_page, painted, share_of, viewing, wait_for_color

GREEN, RED, BLUE = (0, 200, 0), (220, 0, 0), (0, 0, 220)


def two_sided() -> Reconstruction:
    """Return a scene of one photo that is red on its left and blue on its right."""
    scene = painted(RED, ("landscape",))
    pixels = scene.views[0].pixels.clone()
    pixels[:, 16:] = torch.tensor(BLUE, dtype=torch.uint8)
    return replace(scene, views=[replace(scene.views[0], pixels=pixels)])


def test_the_page_draws_points_and_obeys_its_controls() -> None:
    with viewing(painted(GREEN)) as viewer, browser_page() as page:
        page.goto(viewer.url)
        assert wait_for_color(page, GREEN, share=0.02) >= 0.02
        viewer.controls.photos.hidden.value = "1-3"
        page.wait_for_timeout(2000)
        assert share_of(page, GREEN) < 0.005


def test_from_a_camera_the_points_lie_where_its_photo_has_them() -> None:
    with viewing(two_sided()) as viewer, browser_page() as page:
        page.goto(viewer.url)
        viewer.controls.points.percentile.value = 0
        assert wait_for_color(page, RED, share=0.02) >= 0.02
        viewer.controls.photos.opacity.value = 0
        viewer.controls.photos.look.value = True
        page.wait_for_timeout(3000)
        client = next(iter(viewer._server.get_clients().values()))
        picture = client.get_render(240, 360, transport_format="png", timeout=60)
    left, right = picture[40:200, 40:170, :3], picture[40:200, 190:320, :3]
    assert (np.abs(left.astype(int) - RED).max(axis=-1) < 40).mean() > 0.8
    assert (np.abs(right.astype(int) - BLUE).max(axis=-1) < 40).mean() > 0.8


@pytest.mark.slow
def test_a_still_and_a_turntable_come_from_the_browser() -> None:
    from fast3r.viz.viewer.saving import still_of, turntable_of

    with viewing(painted(GREEN)) as viewer, browser_page() as page:
        page.goto(viewer.url)
        assert wait_for_color(page, GREEN, share=0.02) >= 0.02
        client = next(iter(viewer._server.get_clients().values()))
        still = np.asarray(Image.open(io.BytesIO(still_of(client))))
        film = Image.open(io.BytesIO(turntable_of(client, kind="gif", seconds=1.0)))
    assert (np.abs(still.astype(int) - GREEN).max(axis=-1) < 40).mean() > 0.02
    frames = []
    for k in range(film.n_frames):
        film.seek(k)
        frames.append(np.asarray(film.convert("RGB")).astype(int))
    assert len(frames) == 20
    assert np.abs(frames[0] - frames[10]).mean() > 2


def test_the_page_of_a_scene_opens_from_a_file_and_asks_the_network_for_nothing(tmp_path) -> None:
    path = tmp_path / "scene.html"
    html.write(painted(GREEN), path)
    with browser_page() as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        assert wait_for_color(page, GREEN, share=0.02) >= 0.02
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.slow
def test_two_clicks_measure_a_distance() -> None:
    with viewing(painted(GREEN)) as viewer, browser_page() as page:
        page.goto(viewer.url)
        assert wait_for_color(page, GREEN, share=0.02) >= 0.02
        viewer.measure.begin()
        page.wait_for_timeout(1000)
        picture = np.asarray(Image.open(io.BytesIO(page.screenshot()))).astype(int)[..., :3]
        rows, columns = np.nonzero(np.abs(picture - GREEN).max(axis=-1) < 25)
        # The panel covers the right.
        free = columns < 300
        rows, columns = rows[free], columns[free]
        for k in (len(rows) // 4, 3 * len(rows) // 4):
            page.mouse.click(int(columns[k]), int(rows[k]))
            page.wait_for_timeout(1500)
        assert viewer.measure.distance is not None
        assert 0 < viewer.measure.distance < 10
