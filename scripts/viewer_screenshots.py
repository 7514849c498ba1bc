"""Takes the pictures of docs/viewer.md: opens the viewer in a headless Chromium and looks at it.

    python scripts/viewer_screenshots.py out/banana docs/images

Needs playwright and a Chromium (`--chromium`, by default the one on the path).
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import fast3r
from fast3r.viz.viewer.page import Viewer

_FLAGS = ["--no-sandbox", "--enable-unsafe-swiftshader"]
# The browser's own remark on the missing graphics card is not ours to show.
_QUIET = "[class*=Notifications-root], [class*=Notification-root] { display: none !important }"


def main() -> None:
    """Write viewer.png, viewer-photo.jpg and viewer-confidence.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path, help="folder with scene.npz")
    parser.add_argument("output", type=Path, help="folder for the pictures")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="path of the browser")
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    viewer = Viewer(fast3r.load(arguments.scene / "scene.npz"), port=0)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=_FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 720})
        page.goto(viewer.url)
        page.add_style_tag(content=_QUIET)
        viewer.controls.points.millions.value = 1.5
        viewer.refresh()
        _take(page, arguments.output / "viewer.png", wait_s=20)
        viewer.controls.points.color_by.value = "confidence"
        _take(page, arguments.output / "viewer-confidence.png")
        viewer.controls.points.color_by.value = "photo"
        viewer.controls.photos.current.value = 3
        viewer.controls.photos.look.value = True
        _take(page, arguments.output / "viewer-photo.jpg")
        browser.close()
    viewer.stop()


def _take(page: Any, path: Path, *, wait_s: float = 8) -> None:
    page.wait_for_timeout(wait_s * 1000)
    page.screenshot(path=path, timeout=120_000)
    print(path)


if __name__ == "__main__":
    main()
