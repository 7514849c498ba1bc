from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast3r.views.integrity import is_whole

PICTURE = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)  # about 100 kB as JPEG
)

KINDS = ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif", "a.heic"]


def check(path: Path) -> bool:
    with Image.open(path) as image:
        return is_whole(path, image)


def save(path: Path) -> bytes:
    if path.suffix == ".heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    PICTURE.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("name", [*KINDS, "a.gif", "a.bmp"])
def test_whole_files_are_whole(tmp_path: Path, name: str) -> None:
    save(tmp_path / name)
    assert check(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("extra", [100, 200_000])
def test_extras_behind_the_picture_do_no_harm(tmp_path: Path, name: str, extra: int) -> None:
    (tmp_path / name).write_bytes(save(tmp_path / name) + bytes(extra))
    assert check(tmp_path / name)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_files_cut_short_are_found_out(tmp_path: Path, name: str, share: float) -> None:
    whole = save(tmp_path / name)
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    try:
        assert not check(tmp_path / name)
    except OSError:
        # Some readers find out by themselves.
        assert name in ("a.avif", "a.heic", "a.webp")


def test_the_end_of_a_thumbnail_is_not_the_end_of_its_photo(tmp_path: Path) -> None:
    exif = b"Exif\0\0" + b"\xff\xd8 a thumbnail \xff\xd9" + bytes(100)
    PICTURE.save(tmp_path / "a.jpg", exif=exif, quality=10)
    whole = (tmp_path / "a.jpg").read_bytes()
    assert len(whole) < 60_000
    (tmp_path / "a.jpg").write_bytes(whole[:-500])
    assert not check(tmp_path / "a.jpg")
