"""What a notebook shows of a scene."""

import base64
import io
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.notebook import scene_html
from tests.scenes import make_scene, without_cameras
from tests.viz.pages import browser_page, painted, wait_for_color

GREEN = (0, 200, 0)
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def without_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fast3r.viz.notebook.find_spec", lambda name: None)


def picture_in(html: str) -> Image.Image:
    found = re.search(r"data:image/jpeg;base64,([^\"]+)", html)
    assert found is not None
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


@pytest.mark.usefixtures("without_viewer")
def test_a_scene_says_how_many_photos_found_a_place_and_why_others_did_not() -> None:
    html = scene_html(without_cameras(make_scene(), 2))
    assert "4 photos, 3 with a camera; unit: arbitrary" in html
    assert "day0/IMG_2.jpg has no camera: too few sure points" in html
    assert "notes.txt was not used: not a photo" in html


@pytest.mark.usefixtures("without_viewer")
def test_a_scene_shows_a_picture_of_itself() -> None:
    picture = picture_in(scene_html(make_scene()))
    assert picture.size == (720, 480)
    assert np.asarray(picture).std() > 10


@pytest.mark.usefixtures("without_viewer")
def test_the_page_is_left_out_where_viser_is_not_installed() -> None:
    assert "<iframe" not in scene_html(make_scene())


@pytest.mark.usefixtures("without_viewer")
def test_names_of_photos_cannot_bring_markup_into_the_notebook() -> None:
    scene = without_cameras(make_scene(("landscape",)), 0)
    views = [replace(scene.views[0], name="<script>alert(1)</script>.jpg")]
    html = scene_html(replace(scene, views=views))
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_scene_without_cameras_tells_why_and_draws_nothing() -> None:
    html = scene_html(without_cameras(make_scene(("landscape",)), 0))
    assert "1 photos, 0 with a camera" in html
    assert "too few sure points" in html
    assert "<img" not in html


def test_a_scene_without_depth_says_that_there_are_no_points() -> None:
    scene = make_scene(("landscape",))
    scene.depth[0][:] = 0
    assert "there are no points" in scene_html(scene)


@pytest.mark.usefixtures("without_viewer")
def test_many_problems_are_counted() -> None:
    scene = without_cameras(make_scene(("landscape",) * 9), *range(8))
    assert "and 4 more" in scene_html(scene)


def test_making_the_page_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert "<iframe" in scene_html(make_scene())
    assert capfd.readouterr() == ("", "")


def test_the_page_in_the_notebook_draws_points(tmp_path: Path) -> None:
    cell = tmp_path / "cell.html"
    cell.write_text(scene_html(painted(GREEN)), encoding="utf-8")
    with browser_page() as page:
        page.goto(cell.as_uri())
        page.evaluate("document.querySelector('img').remove()")
        page.click("summary")
        assert wait_for_color(page, GREEN, share=0.02) >= 0.02


def shown_by_ipython(scene: Reconstruction, folder: Path, imports: str) -> str:
    """Return what IPython makes of a scene at the end of a cell."""
    scene.save(folder / "scene.npz")
    script = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
{imports}
scene = fast3r.load({str(folder / "scene.npz")!r})
data, _ = shell.display_formatter.format(scene)
print(data["text/plain"], data["text/html"][:60], sep="|")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_scene_at_the_end_of_a_cell_displays_itself(tmp_path: Path) -> None:
    said = shown_by_ipython(make_scene(), tmp_path, "import fast3r")
    plain, _, html = said.partition("|")
    assert plain == "Reconstruction(4 views, 4 with cameras, arbitrary scale)"
    assert html.startswith("<p><b>Scene</b>: 4 photos, 4 with a camera")
