"""The demo as visitors meet it: over HTTP, and in a browser."""

import io
import json
import re
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.viz.pages import browser_page
from tests.viz.running_demo import PHOTOS, Demo, Page, proxy, running_demo, wait_until


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with running_demo("--max-views", "8", "--max-upload-mib", "1") as demo:
        yield demo


def fetch(url: str | urllib.request.Request) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


def address(demo: Demo, view: str) -> str:
    """Return where the scene in 3D is found."""
    (source,) = re.findall('src="([^"]*)"', view)
    return f"{demo.url}/{source}"


def test_photos_become_a_scene_and_are_deleted(demo: Demo) -> None:
    visitor = demo.visitor()
    assert "3 photos" in visitor.add(*PHOTOS[:3])
    assert demo.files("uploads") == []
    assert demo.files("reading") == []
    page = visitor.reconstruct()
    assert "3 of 3 photos found their place" in page.status
    assert all(photo.name in page.cameras for photo in PHOTOS[:3])
    assert "data:image/jpeg" in page.depth
    assert b"<canvas" in (scene := fetch(address(demo, page.view))) or b"<html" in scene
    names = zipfile.ZipFile(visitor.download("everything")).namelist()
    assert {"fast3r/scene.ply", "fast3r/report.json", "fast3r/cameras.json"} <= set(names)
    assert visitor.download("ply").read_bytes().startswith(b"ply\n")


def test_the_demo_connects_to_no_other_machine(demo: Demo) -> None:
    visitor = demo.visitor()
    visitor.add(*PHOTOS[:2])
    assert "2 of 2 photos" in visitor.reconstruct().status
    assert demo.asked() <= {"127.0.0.1", "localhost", "::1"}


def test_files_that_are_no_photos_are_named_and_the_others_used(demo: Demo, tmp_path) -> None:
    notes, cut = tmp_path / "notes.txt", tmp_path / "cut.jpg"
    notes.write_text("hello")
    cut.write_bytes(PHOTOS[0].read_bytes()[:9000])
    seen = demo.visitor().add(notes, cut, PHOTOS[0])
    assert "1 photo" in seen
    assert "<b>notes.txt</b>: not an image in a format that can be read" in seen
    assert "<b>cut.jpg</b>: the file is cut short" in seen
    assert str(demo.temporary) not in seen
    assert demo.files("uploads") == []


def test_two_visitors_with_equal_photos_both_get_their_own_scene(demo: Demo) -> None:
    visitors = [demo.visitor(), demo.visitor()]
    seen = [visitor.add(*PHOTOS[:count]) for visitor, count in zip(visitors, (2, 3), strict=True)]
    assert "2 photos" in seen[0]
    assert "3 photos" in seen[1]
    runs = [visitor.begin() for visitor in visitors]
    shown = [Page(*run.result(timeout=100)) for run in runs]
    assert "2 of 2 photos" in shown[0].status
    assert "3 of 3 photos" in shown[1].status
    assert shown[0].view != shown[1].view
    assert demo.files("uploads") == []


def test_a_run_can_be_stopped_and_the_next_one_goes_on(demo: Demo) -> None:
    visitor, next_one = demo.visitor(), demo.visitor()
    visitor.add(*PHOTOS[:6])
    next_one.add(*PHOTOS[:2])
    # Minutes of work on one core.
    run = visitor.begin(size=512)
    assert wait_until(
        lambda: any("Look at all" in str(o) and "now" in str(o) for o in run.outputs())
    )
    waiting = next_one.begin()
    assert wait_until(
        lambda: any("1 reconstruction before yours" in str(o) for o in waiting.outputs())
    )
    visitor.stop()
    assert "Stopped." in str(run.result(timeout=10)[0])
    assert "2 of 2 photos" in str(waiting.result(timeout=60)[0])


def test_without_photos_the_page_says_what_to_do(demo: Demo) -> None:
    assert "add some photos or a video first" in demo.visitor().reconstruct().status


def test_more_photos_than_are_taken_are_refused_with_the_number(demo: Demo) -> None:
    seen = demo.visitor().add(*PHOTOS[:9])
    assert "this demo takes 8 photos and frames" in seen
    assert demo.files("uploads") == []


def test_too_large_an_upload_is_refused_with_the_limit(demo: Demo, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(2 << 20))
    with pytest.raises(Exception, match="maximum file size of 1048576"):
        demo.visitor().add(large)
    assert demo.files("uploads") == []


@pytest.mark.parametrize("path", ["/etc/hostname", str(PHOTOS[0]), "../a.jpg"])
def test_files_that_the_visitor_did_not_upload_cannot_be_added(demo: Demo, path: str) -> None:
    files = [{"path": path, "meta": {"_type": "gradio.FileData"}}]
    said = demo.call("add", json.dumps({"data": [files]}).encode())
    assert "event: complete" not in said or "no longer here" in said
    assert "thumbnails" not in said


def test_files_of_the_machine_cannot_be_fetched(demo: Demo) -> None:
    for path in ("/etc/hostname", str(PHOTOS[0]), f"{demo.temporary}/.."):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            fetch(f"{demo.url}/gradio_api/file={path}")


def test_only_this_machine_is_let_in(demo: Demo) -> None:
    assert demo.url.startswith("http://127.0.0.1:")


def test_an_example_replaces_what_was_there(demo: Demo) -> None:
    visitor = demo.visitor()
    visitor.add(*PHOTOS[:2])
    _, tray, status = visitor.client.predict(api_name="/example_banana")
    # The example has more photos than this demo takes.
    assert "<b>8 photos</b>" in str(tray)
    assert not status


def test_nothing_is_left_when_the_demo_ends() -> None:
    with running_demo() as demo:
        demo.visitor().add(PHOTOS[0])
        assert list(demo.temporary.glob("fast3r-demo-*"))
        demo.process.terminate()
        assert demo.process.wait(20) in (0, 143)
        assert list(demo.temporary.glob("fast3r-demo-*")) == []


def yellow_px(element: Any) -> int:
    """Return how many pixels of what a browser shows have the colour of bananas."""
    picture = np.asarray(Image.open(io.BytesIO(element.screenshot())).convert("RGB"))
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    return int(((red > 120) & (green > 90) & (blue < 0.5 * green) & (red < 1.7 * green)).sum())


def test_a_browser_shows_the_points_and_asks_nobody_else(demo: Demo) -> None:
    asked: list[str] = []
    with browser_page() as page:
        page.on("request", lambda request: asked.append(request.url))
        add_photos(page, demo.url, PHOTOS[:3])
        page.click("#go")
        assert shows_points(page)
        assert "3 of 3 photos found their place" in page.inner_text("#status")
    assert [url for url in asked if not url.startswith((demo.url, "data:", "blob:"))] == []


def add_photos(page: Any, url: str, photos: Sequence[Path]) -> None:
    """Open the page and drop photos on it."""
    page.set_viewport_size({"width": 800, "height": 900})
    page.goto(url)
    page.set_input_files("input[type=file]", photos)
    page.wait_for_selector(".thumbnails img")


def shows_points(page: Any) -> bool:
    """Return whether the scene appears before long."""
    view = page.wait_for_selector("iframe.stage", timeout=60_000)
    return wait_until(lambda: yellow_px(view) > 500)


@pytest.mark.slow
def test_a_run_ends_when_the_visitor_leaves(demo: Demo) -> None:
    with browser_page() as page:
        add_photos(page, demo.url, PHOTOS[:8])
        page.click("text=Options")
        # Minutes of work on one core.
        page.click("text=512 px")
        page.click("#go")
        page.wait_for_selector("li.now progress")
    next_one = demo.visitor()
    next_one.add(*PHOTOS[:2])
    start = time.monotonic()
    assert "2 of 2 photos" in next_one.reconstruct().status
    assert time.monotonic() - start < 15


@pytest.mark.slow
def test_behind_a_proxy_that_puts_it_into_a_folder_it_works_the_same() -> None:
    with (
        running_demo(GRADIO_ROOT_PATH="/tools/demo") as demo,
        proxy(demo.url, "/tools/demo") as url,
        browser_page() as page,
    ):
        add_photos(page, f"{url}/tools/demo/", PHOTOS[:3])
        page.click("#go")
        assert shows_points(page)
