"""Viewers for tests: small scenes, and a browser without a screen."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.viewer.page import Viewer
from tests.scenes import make_scene

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = ["--no-sandbox", "--enable-unsafe-swiftshader"]


@contextmanager
def viewing(scene: Reconstruction) -> Iterator[Viewer]:
    """Give a viewer that has drawn a scene."""
    viewer = Viewer(scene, port=0)
    try:
        viewer.refresh()
        yield viewer
    finally:
        viewer.stop()


def painted(
    color: tuple[int, int, int], kinds: tuple[str, ...] = ("landscape",) * 3
) -> Reconstruction:
    """Return a scene whose photos all have one colour."""
    return repainted(make_scene(kinds), color)


def repainted(scene: Reconstruction, color: tuple[int, int, int]) -> Reconstruction:
    """Return a scene with photos of one colour."""
    rgb = torch.tensor(color, dtype=torch.uint8)
    views = [replace(v, pixels=rgb.expand_as(v.pixels).contiguous()) for v in scene.views]
    return replace(scene, views=views)


@contextmanager
def browser_page() -> Iterator[Any]:
    """Give a page of a headless Chromium; skips the test where there is none."""
    if _CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        try:
            yield browser.new_page(viewport={"width": 640, "height": 420})
        finally:
            browser.close()


def wait_for_color(
    page: Any, color: tuple[int, int, int], *, share: float, seconds: float = 60
) -> float:
    """Return which share of a page has a colour, once that is enough or time is over."""
    found = 0.0
    for _ in range(round(seconds / 0.5)):
        found = share_of(page, color)
        if found >= share:
            break
        page.wait_for_timeout(500)
    return found


def share_of(page: Any, color: tuple[int, int, int]) -> float:
    """Return which share of what a page shows has about this colour."""
    import io

    picture = np.asarray(Image.open(io.BytesIO(page.screenshot(timeout=60_000))).convert("RGB"))
    return float((np.abs(picture.astype(int) - color).max(axis=-1) < 25).mean())
