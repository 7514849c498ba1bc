from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.views.load import load_views
from fast3r.views.view import SkippedPhoto, View

from .pictures import noise, save_all


def test_a_folder_becomes_views_in_natural_order(tmp_path: Path) -> None:
    save_all(tmp_path, "img10.jpg", "img2.jpg", "写 1.png")
    views = load_views(tmp_path)
    assert [view.name for view in views] == ["img2.jpg", "img10.jpg", "写 1.png"]
    assert views[0].source == tmp_path / "img2.jpg"
    assert views.skipped == []


def test_photos_of_four_to_three_become_384_by_512(tmp_path: Path) -> None:
    save_all(tmp_path, "a.jpg", height=480, width=640)
    view = load_views(str(tmp_path))[0]
    assert view.image.shape == (3, 384, 512)
    assert 0 <= view.image.min() < view.image.max() <= 1


def test_the_size_can_be_chosen(tmp_path: Path) -> None:
    save_all(tmp_path, "a.jpg")
    assert load_views(tmp_path, size=224, patch=14)[0].pixels.shape == (168, 224, 3)
    with pytest.raises(ValueError, match="multiple of the patch"):
        load_views(tmp_path, size=500)


def test_a_corrupt_photo_among_good_ones_is_left_out_with_its_reason(tmp_path: Path) -> None:
    good = save_all(tmp_path, "a.jpg", "b.jpg", "d.png", height=200, width=300)
    (tmp_path / "b.jpg").write_bytes(good[1].read_bytes()[:9000])
    (tmp_path / "c.png").touch()
    (tmp_path / "e.nef").write_bytes(b"raw")
    noise(4, 3000).save(tmp_path / "f.png")
    views = load_views(tmp_path)
    assert [view.name for view in views] == ["a.jpg", "d.png"]
    assert [photo.name for photo in views.skipped] == ["b.jpg", "c.png", "e.nef", "f.png"]
    reasons = " / ".join(photo.reason for photo in views.skipped)
    assert "cut short / the file is empty / camera raw files are not read" in reasons
    assert "3000x4 px is too narrow" in reasons


def test_a_listed_file_that_is_no_image_is_left_out(tmp_path: Path) -> None:
    save_all(tmp_path, "a.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    views = load_views([tmp_path / "a.jpg", tmp_path / "notes.txt"])
    assert views.skipped == [SkippedPhoto("notes.txt", "not an image in a format that can be read")]


def test_when_no_photo_can_be_used_the_error_tells_why(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"):
        (tmp_path / name).touch()
    message = (
        rf"none of the 5 photos in {tmp_path} can be used: a.jpg: the file is empty; "
        r"b.jpg: the file is empty; c.jpg: the file is empty; and 2 more"
    )
    with pytest.raises(ValueError, match=message):
        load_views(tmp_path)


def test_a_single_photo_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    noise(4, 3000).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png cannot be used: 3000x4 px is too narrow"):
        load_views(tmp_path / "a.png")


def test_large_sets_are_decoded_later_and_equal_small_ones(tmp_path: Path) -> None:
    save_all(tmp_path, "a.jpg", "b.png", "c.webp", "d.tif", height=90, width=130)
    (tmp_path / "e.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:2000])
    eager, lazy = load_views(tmp_path), load_views(tmp_path, lazy_above=3)
    assert eager.skipped == lazy.skipped == [SkippedPhoto("e.jpg", "the file is cut short")]
    assert {type(view) for view in eager} == {View}
    assert View not in {type(view) for view in lazy}
    for one, other in zip(eager, lazy, strict=True):
        for field in fields(View):
            first, second = getattr(one, field.name), getattr(other, field.name)
            assert torch.equal(first, second) if torch.is_tensor(first) else first == second


@pytest.mark.parametrize("lazy_above", [0, 400])
def test_masks_and_opacity_are_combined(tmp_path: Path, lazy_above: int) -> None:
    picture = np.full((48, 64, 4), 255, np.uint8)
    picture[:24, :, 3] = 0
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    Image.fromarray(picture).save(tmp_path / "photos" / "a.png")
    keep = np.zeros((96, 128), np.uint8)
    keep[:, :64] = 255
    Image.fromarray(keep).save(tmp_path / "masks" / "a.png")
    views = load_views(
        tmp_path / "photos", masks=tmp_path / "masks", size=64, lazy_above=lazy_above
    )
    mask = views[0].mask
    assert mask is not None
    assert mask[24:, :32].all()
    assert mask.sum() == 24 * 32


@pytest.mark.parametrize("lazy_above", [0, 400])
def test_a_photo_whose_mask_does_not_fit_is_left_out(tmp_path: Path, lazy_above: int) -> None:
    save_all(tmp_path, "photos/a.jpg", "photos/b.jpg")
    save_all(tmp_path, "masks/a.png", height=64)
    views = load_views(tmp_path / "photos", masks=str(tmp_path / "masks"), lazy_above=lazy_above)
    assert [view.name for view in views] == ["b.jpg"]
    assert "its mask a.png cannot be used: its shape of 64x64 px" in views.skipped[0].reason


def test_progress_counts_every_photo(tmp_path: Path) -> None:
    save_all(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "c.jpg").touch()
    calls: list[tuple[int, int]] = []
    load_views(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_an_interrupt_does_not_wait_for_the_whole_set(tmp_path: Path) -> None:
    save_all(tmp_path, *(f"{i}.png" for i in range(30)))
    calls: list[int] = []

    def interrupt(done: int, total: int) -> None:
        calls.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_views(tmp_path, workers=1, progress=interrupt)
    assert calls == [1]


@pytest.mark.parametrize("option", [{"fps": 2.0}, {"num_frames": 5}])
def test_options_of_videos_are_refused_for_photos(tmp_path: Path, option: dict[str, float]) -> None:
    save_all(tmp_path, "a.jpg")
    with pytest.raises(ValueError, match=r"fps and num_frames are for videos; .* has none"):
        load_views(tmp_path, **option)


def test_loading_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_all(tmp_path, "a.jpg", "b.png", "c.tif")
    (tmp_path / "d.tif").write_bytes(b"II*\0" + bytes(40))
    load_views(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_broken_video_among_photos_is_left_out(tmp_path: Path) -> None:
    pytest.importorskip("av")
    photos = save_all(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "clip.mp4").write_bytes(b"not a video at all")
    views = load_views([*photos, tmp_path / "clip.mp4"], size=64)
    assert [view.name for view in views] == ["a.jpg", "b.jpg"]
    assert [
        (skipped.name, "cannot be read as a video" in skipped.reason) for skipped in views.skipped
    ] == [("clip.mp4", True)]
