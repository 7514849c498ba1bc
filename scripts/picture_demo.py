"""Take the picture of the demo in docs/images/demo.png, as a visitor with the bananas sees it.

    python scripts/picture_demo.py

Needs `pip install 'fast3r[demo]' playwright` and a Chromium.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "images" / "demo.png"
_COMMAND = [sys.executable, "-m", "fast3r", "demo", "--port", "0"]


def main() -> None:
    """Start the demo, use it, take the picture, stop it."""
    with subprocess.Popen(_COMMAND, stdout=subprocess.PIPE, text=True, cwd=ROOT) as demo:
        assert demo.stdout is not None
        try:
            with sync_playwright() as playwright:
                chromium = shutil.which("chromium") or shutil.which("google-chrome")
                options = ["--no-sandbox", "--enable-unsafe-swiftshader"]
                browser = playwright.chromium.launch(executable_path=chromium, args=options)
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(demo.stdout.readline().strip())
                take_picture(page)
                browser.close()
        finally:
            demo.terminate()


def take_picture(page: Page) -> None:
    """Use the demo as a visitor would, and write what is to be seen."""
    page.get_by_role("button", name="banana").click()
    page.wait_for_selector("iframe.stage", timeout=120_000)
    # Chromium without a graphics card warns of that; visitors do not see it.
    scene = page.frame_locator("iframe.stage")
    scene.locator(".mantine-Notification-closeButton").first.click()
    page.wait_for_timeout(6000)
    page.screenshot(path=TARGET)


if __name__ == "__main__":
    main()
