"""The page on which masks are painted."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast3r.views.load import load_views
from fast3r.views.masking.files import mask_file
from fast3r.viz.painting import Easel
from tests.viz.pages import browser_page

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three grey photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, size in (("a.png", (320, 240)), ("b.png", (320, 240)), ("c.png", (600, 800))):
        Image.new("RGB", size, (120, 130, 140)).save(folder / name)
    return folder


@pytest.fixture
def easel(photos: Path, tmp_path: Path) -> Easel:
    return Easel(load_views(photos, size=256, patch=1), tmp_path / "masks")


def stroke(shape: tuple[int, int], opacity: int = 150) -> dict[str, object]:
    """Return what Gradio says of a stroke over the upper left quarter."""
    layer = np.zeros((*shape, 4), np.uint8)
    layer[: shape[0] // 2, : shape[1] // 2] = (255, 90, 0, opacity)
    return {"background": None, "layers": [layer], "composite": None}


def black(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image) == 0


def test_every_photo_has_a_white_mask_of_its_size_at_once(easel: Easel, tmp_path: Path) -> None:
    assert len(easel) == 3
    assert black(tmp_path / "masks" / "a.png.png").shape == (240, 320)
    assert black(tmp_path / "masks" / "c.png.png").shape == (800, 600)
    assert not black(tmp_path / "masks" / "c.png.png").any()


@pytest.mark.parametrize("shape", [(192, 256), (96, 128)], ids=str)
def test_what_is_painted_is_black_in_the_mask(
    easel: Easel, tmp_path: Path, shape: tuple[int, int]
) -> None:
    easel.keep(1, stroke(shape))
    painted = black(tmp_path / "masks" / "b.png.png")
    assert painted[:120, :160].all()
    assert painted.sum() == 120 * 160
    assert easel.told(1) == "**2 of 3**: b.png, 25.0% left out"


def test_the_faint_rim_of_a_brush_is_not_paint(easel: Easel) -> None:
    easel.keep(0, stroke((192, 256), opacity=30))
    assert not easel.gone(0).any()


def test_what_was_painted_is_shown_again(easel: Easel) -> None:
    easel.keep(0, stroke((192, 256)))
    shown = easel.shown(0)
    (layer,) = shown["layers"]
    assert shown["background"].shape == (192, 256, 3)
    assert np.array_equal(layer[..., 3] > 0, stroke((192, 256))["layers"][0][..., 3] > 0)
    easel.keep(0, shown)
    assert easel.gone(0).mean() == 0.25


def test_masks_that_are_there_are_corrected_not_replaced(easel: Easel, photos: Path) -> None:
    easel.keep(0, stroke((192, 256)))
    folder = photos.parent / "masks"
    again = Easel(load_views(photos, size=256, patch=1), folder)
    assert again.gone(0).mean() == 0.25
    again.keep(0, {"background": None, "layers": [], "composite": None})
    assert not black(folder / "a.png.png").any()


def test_a_photo_can_be_painted_like_the_one_before(easel: Easel) -> None:
    easel.keep(1, stroke((192, 256)))
    easel.copy(2, 1)
    assert easel.gone(2)[:128, :96].all()
    assert easel.gone(2).mean() == 0.25


def test_masks_made_here_are_those_that_photos_are_loaded_with(easel: Easel, photos: Path) -> None:
    easel.keep(0, stroke((192, 256)))
    views = load_views(photos, masks=photos.parent / "masks", size=128)
    assert views[0].mask is not None
    assert not views[0].mask[:47, :63].any()
    assert views[1].mask is None


@contextmanager
def running(photos: Path, masks: Path) -> Iterator[str]:
    """Give the address of a page that is served by the command."""
    command = [sys.executable, "-m", "fast3r", "mask", photos, "--output", masks, "--port", "0"]
    with subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(30)


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


@pytest.mark.slow
def test_in_a_browser_one_can_paint_and_rub_out(photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    mask = mask_file(masks, "a.png")
    with browser_page() as page, running(photos, masks) as url:
        page.set_viewport_size({"width": 1000, "height": 900})
        page.goto(url)

        def drag(across: int) -> None:
            page.wait_for_timeout(1500)
            box = page.locator("canvas").first.bounding_box()
            x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + across, y, steps=15)
            page.mouse.up()
            page.wait_for_timeout(300)

        page.locator("canvas").first.wait_for()
        page.get_by_text("1 of 3").wait_for()
        drag(80)
        page.get_by_role("button", name="Next").click()
        assert wait_for(lambda: black(mask).any())
        painted = black(mask).mean()
        page.get_by_text("2 of 3").wait_for()
        page.get_by_role("button", name="Previous").click()
        page.get_by_text("1 of 3").wait_for()
        page.wait_for_timeout(3000)
        page.locator("button[title='Erase'], button[aria-label='Erase']").first.click()
        drag(80)
        page.get_by_role("button", name="Save").click()
        assert wait_for(lambda: black(mask).mean() < 0.5 * painted)
