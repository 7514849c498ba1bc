"""`fast3r mask`, and the masks that `fast3r reconstruct` is given."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast3r.cli import main
from fast3r.export.formats import load

EXAMPLE = Path(__file__).parents[2] / "examples/photos/banana"
GROUND, SKY = (70, 80, 40), (110, 160, 235)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos whose upper half is sky."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        photo = np.empty((120, 160, 3))
        photo[:60] = SKY
        photo[60:] = GROUND + random.normal(0, 20, (60, 160, 3))
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(folder / name, quality=95)
    return folder


def test_the_sky_becomes_black_in_masks_named_like_the_photos(fast3r, photos: Path) -> None:
    masks = photos.parent / "masks"
    done = fast3r("mask", photos, "--output", masks, "--remove", "sky")
    assert (done.code, done.out) == (0, f"{masks}\n")
    assert "sky: in 3 of 3 photos, 50% of their pixels" in done.err
    assert sorted(path.name for path in masks.iterdir()) == [f"{n}.jpg.png" for n in "abc"]
    with Image.open(masks / "a.jpg.png") as image:
        white = np.asarray(image)
    assert white.shape == (120, 160)
    assert not white[:57].any()
    assert (white[63:] == 255).all()


def test_masks_that_are_there_are_not_replaced(fast3r, photos: Path) -> None:
    masks = photos.parent / "masks"
    masks.mkdir()
    Image.new("L", (160, 120), 255).save(masks / "b.jpg.png")
    done = fast3r("mask", photos, "--output", masks, "--remove", "sky")
    assert done.code == 2
    assert "holds masks already, such as b.jpg.png, which would be lost" in done.err


def test_masks_do_not_go_among_the_photos(fast3r, photos: Path) -> None:
    done = fast3r("mask", photos, "--output", photos, "--remove", "sky")
    assert done.code == 2
    assert "masks need a folder of their own" in done.err
    assert len(list(photos.iterdir())) == 3


def test_a_turntable_that_is_none_is_said_to_be_none(fast3r, photos: Path) -> None:
    done = fast3r("mask", photos, "--output", photos.parent / "m", "--remove", "turntable")
    assert done.code == 2
    assert "at least 5 photos, got 3" in done.err
    assert list((photos.parent / "m").iterdir()) == []


def test_without_transformers_the_extra_is_named(
    fast3r, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    done = fast3r("mask", photos, "--output", photos.parent / "m", "--remove", "people")
    assert done.code == 2
    assert "pip install 'fast3r[masks]'" in done.err


def test_without_gradio_the_extra_is_named(
    fast3r, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    done = fast3r("mask", photos, "--output", photos.parent / "m")
    assert done.code == 2
    assert "painting masks needs gradio: pip install 'fast3r[masks]'" in done.err


def reconstruct(photos: Path, *options: object) -> list[np.ndarray]:
    """Return what the saved scene's views keep."""
    output = photos.parent / "out"
    arguments = ["reconstruct", photos, "--output", output, "--format", "npz", "--quiet", *options]
    main([str(argument) for argument in arguments])
    report = json.loads((output / "report.json").read_text())
    assert report["options"]["masks_keep"] in ("white", "black")
    views = load(output / "scene.npz").views
    return [np.ones(v.pixels.shape[:2], bool) if v.mask is None else v.mask.numpy() for v in views]


@pytest.mark.parametrize("keep", ["white", "black"])
def test_masks_keep_what_is_white_or_what_is_black(tmp_path: Path, keep: str) -> None:
    # Half of a photo of noise may well have no camera, and a scene without any is not written.
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    photos.mkdir()
    masks.mkdir()
    for name, photo in zip("abc", sorted(EXAMPLE.glob("*.jpg")), strict=False):
        with Image.open(photo) as image:
            image.resize((160, 120)).save(photos / f"{name}.jpg")
    drawn = np.full((120, 160), 255, np.uint8)
    drawn[:, :80] = 0
    for name in "abc":
        Image.fromarray(drawn).save(masks / f"{name}.png")
    for mask in reconstruct(photos, "--masks", masks, "--masks-keep", keep):
        left = mask[:, : mask.shape[1] // 2 - 1]
        right = mask[:, mask.shape[1] // 2 + 1 :]
        assert left.all() == (keep == "black")
        assert right.all() == (keep == "white")


def test_the_sky_can_be_left_out_at_once(photos: Path) -> None:
    for mask in reconstruct(photos, "--remove", "sky"):
        assert not mask[: int(0.46 * len(mask))].any()
        assert mask[int(0.54 * len(mask)) :].all()
