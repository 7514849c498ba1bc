import os
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fast3r.views import decode
from fast3r.views.decode import UnreadablePhotoError, open_image, rgb_and_alpha

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))


def colours_of(path: Path) -> np.ndarray:
    with open_image(path) as image:
        return np.asarray(rgb_and_alpha(image)[0]).astype(int)


def opacity_of(path: Path) -> np.ndarray:
    with open_image(path) as image:
        alpha = rgb_and_alpha(image)[1]
    assert alpha is not None
    return np.asarray(alpha)


def save(path: Path, values: np.ndarray, mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, RAMP.astype(np.uint16) * 257)
    np.testing.assert_array_equal(colours_of(path)[..., 1], RAMP)


def test_big_endian_16_bit_tiffs_are_scaled(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", (RAMP.astype(np.uint16) * 257).astype(">u2"))
    np.testing.assert_array_equal(colours_of(path)[..., 1], RAMP)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_values_without_a_fixed_white_are_scaled_by_the_brightest(
    tmp_path: Path, kind: type
) -> None:
    path = save(tmp_path / "a.tif", RAMP.astype(kind) * 1000)
    np.testing.assert_array_equal(colours_of(path)[..., 1], RAMP)


@pytest.mark.parametrize("bad", [-1, np.nan, np.inf])
def test_negative_and_infinite_values_are_refused(tmp_path: Path, bad: float) -> None:
    values = RAMP.astype(np.float32)
    values[3, 4] = bad
    with pytest.raises(UnreadablePhotoError, match="its pixels are negative or not finite"):
        colours_of(save(tmp_path / "a.tif", values))


def test_black_is_black_in_every_range(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.zeros((48, 64), np.float32))
    assert (colours_of(path) == 0).all()


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_two_tone_and_palette_pictures_become_rgb(tmp_path: Path, mode: str) -> None:
    values = np.where(RAMP > 127, np.uint8(255), np.uint8(0))
    path = save(tmp_path / "a.png", values, mode)
    np.testing.assert_array_equal(colours_of(path), values[..., None].repeat(3, -1))


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_becomes_the_colour_it_prints(tmp_path: Path, name: str) -> None:
    red = np.zeros((48, 64, 3), np.uint8) + np.array([220, 30, 40], np.uint8)
    path = save(tmp_path / name, red, "CMYK")
    np.testing.assert_allclose(colours_of(path), red, atol=4)


def test_inverted_cmyk_of_adobe_is_recognised(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", np.full((48, 64, 3), 200, np.uint8), "CMYK")
    assert b"Adobe" in path.read_bytes()
    np.testing.assert_allclose(colours_of(path), 200, atol=2)


def test_grey_with_opacity_keeps_both(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.stack([RAMP, RAMP.max() - RAMP], -1))
    np.testing.assert_array_equal(colours_of(path)[..., 0], RAMP)
    np.testing.assert_array_equal(opacity_of(path), 255 - RAMP)


def test_a_transparent_colour_of_a_palette_is_transparent(tmp_path: Path) -> None:
    image = Image.fromarray((np.arange(48 * 64) % 2).astype(np.uint8).reshape(48, 64))
    palette = image.convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.save(tmp_path / "a.png", transparency=1)
    np.testing.assert_array_equal(opacity_of(tmp_path / "a.png")[0, :2], [255, 0])
    np.testing.assert_array_equal(colours_of(tmp_path / "a.png")[0, 1], [200, 100, 50])


def test_colour_under_transparency_is_kept(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((48, 64, 4), [90, 60, 30, 0], np.uint8))
    assert (colours_of(path) == [90, 60, 30]).all()


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.webp"])
def test_of_several_pages_the_first_is_read(tmp_path: Path, name: str) -> None:
    first, second = Image.new("L", (64, 48), 255), Image.new("L", (64, 48), 0)
    first.save(tmp_path / name, save_all=True, append_images=[second])
    assert colours_of(tmp_path / name).min() > 250


def test_heic_is_known_by_its_content(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.new("RGB", (64, 48), (200, 100, 50)).save(tmp_path / "a.heic", quality=95)
    (tmp_path / "a.heic").rename(tmp_path / "a.jpg")
    np.testing.assert_allclose(colours_of(tmp_path / "a.jpg")[24, 32], [200, 100, 50], atol=6)


def test_heic_without_its_reader_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(UnreadablePhotoError, match=r"pip install 'fast3r\[media\]'"):
        colours_of(tmp_path / "a.heic")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello world, I am no photo", "not an image in a format that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image in a format that can be read"),
    ],
)
def test_what_is_no_image_is_told_apart(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnreadablePhotoError, match=reason):
        colours_of(tmp_path / "a.jpg")


def test_a_missing_file_is_a_reason_too(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePhotoError, match="no such file"):
        colours_of(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.gif", "a.avif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_cut_short_is_never_taken_for_a_photo(
    tmp_path: Path, name: str, share: float
) -> None:
    values = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    whole = save(tmp_path / name, values).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadablePhotoError):
        colours_of(tmp_path / name)


def test_photos_beyond_the_limit_are_refused_without_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 3_000_000)
    Image.new("1", (2000, 1501)).save(tmp_path / "a.png")
    with pytest.raises(UnreadablePhotoError, match="2000x1501 px is more than 3 million"):
        colours_of(tmp_path / "a.png")


def test_photos_beyond_the_limit_of_pillow_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = save(tmp_path / "a.png", RAMP)
    assert colours_of(path).shape == (48, 64, 3)


def test_settings_of_pillow_are_put_back(tmp_path: Path) -> None:
    good, limit, filters = save(tmp_path / "a.png", RAMP), Image.MAX_IMAGE_PIXELS, warnings.filters
    (tmp_path / "b.png").write_bytes(b"broken")

    def read(path: Path) -> None:
        for _ in range(20):
            try:
                colours_of(path)
            except UnreadablePhotoError:
                continue

    threads = [threading.Thread(target=read, args=[p]) for p in [good, tmp_path / "b.png"] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limit == Image.MAX_IMAGE_PIXELS
    assert filters is warnings.filters


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UnreadablePhotoError, match="not a file"):
        colours_of(tmp_path / "a.jpg")
