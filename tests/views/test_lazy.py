import copy
import gc
import pickle
import threading
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from fast3r.views.lazy import LazyView, PhotoReader
from fast3r.views.photos import Photo, inspect_photos, read_view
from fast3r.views.sources import PhotoFile
from fast3r.views.view import View

from .pictures import save_all


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    paths = save_all(tmp_path, *(f"{i}.png" for i in range(12)))
    files = [PhotoFile(path.name, path) for path in paths]
    return [photo for file in files for photo in inspect_photos(file, size=64, patch=16)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the photos that have been decoded so far."""
    seen: list[str] = []

    def read(photo: Photo) -> View:
        seen.append(photo.file.name)
        return read_view(photo)

    monkeypatch.setattr("fast3r.views.lazy.read_view", read)
    return seen


def assert_same(one: View, other: View) -> None:
    for field in fields(View):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if isinstance(first, torch.Tensor):
            assert torch.equal(first, second), field.name
        else:
            assert first == second, field.name


def test_a_lazy_view_equals_the_decoded_one(photos: list[Photo]) -> None:
    for lazy, photo in zip(PhotoReader(photos, workers=2).views(), photos, strict=True):
        assert_same(lazy, read_view(photo))
        assert (lazy.height, lazy.width) == (48, 64)
        assert torch.equal(lazy.image, read_view(photo).image)


def test_what_the_header_tells_needs_no_decoding(photos: list[Photo], decoded: list[str]) -> None:
    for view in PhotoReader(photos, workers=1).views():
        assert isinstance(view, View)
        assert (view.height, view.width, view.original_width) == (48, 64, 64)
        assert repr(view) == f"LazyView('{view.name}', 48x64)"
        assert view.mask is None
    assert decoded == []


def test_a_reader_in_order_finds_the_next_photos_decoded(
    photos: list[Photo], decoded: list[str]
) -> None:
    views = PhotoReader(photos, workers=1).views()
    assert views[0].pixels.shape == (48, 64, 3)
    assert views[1].pixels.shape == (48, 64, 3)
    assert views[3].pixels.shape == (48, 64, 3)
    assert decoded[:2] == ["0.png", "1.png"]
    assert len(decoded) == len(set(decoded))


def test_a_reader_at_random_decodes_only_what_is_asked_for(
    photos: list[Photo], decoded: list[str]
) -> None:
    views = PhotoReader(photos, workers=1).views()
    for index in (7, 3, 11):
        assert views[index].pixels.shape == (48, 64, 3)
    assert decoded == ["7.png", "3.png", "11.png"]


def test_only_the_last_few_are_kept(photos: list[Photo], decoded: list[str]) -> None:
    views = PhotoReader(photos, workers=1, kept=1).views()
    for index in (7, 3, 11, 9, 7):
        assert views[index].pixels.shape == (48, 64, 3)
    assert decoded == ["7.png", "3.png", "11.png", "9.png", "7.png"]


def test_many_threads_read_the_same(photos: list[Photo]) -> None:
    views, expected = PhotoReader(photos, workers=2, kept=1).views(), [read_view(p) for p in photos]
    wrong: list[int] = []

    def read_all(step: int) -> None:
        for i in range(36):
            index = i * step % len(photos)
            if not torch.equal(views[index].pixels, expected[index].pixels):
                wrong.append(index)

    threads = [threading.Thread(target=read_all, args=[step]) for step in (1, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_copies_hold_their_pixels(photos: list[Photo]) -> None:
    lazy = PhotoReader(photos, workers=1).views()[0]
    for copied in (
        replace(lazy, name="0.png"),
        copy.copy(lazy),
        pickle.loads(pickle.dumps(lazy)),
    ):
        assert type(copied) is View
        assert_same(copied, lazy)


def test_a_photo_that_breaks_later_is_an_error_that_names_it(photos: list[Photo]) -> None:
    view = PhotoReader(photos, workers=1).views()[4]
    photos[4].file.path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"4\.png cannot be read: the file is empty"):
        assert view.pixels


def test_threads_end_with_the_views(photos: list[Photo]) -> None:
    before = threading.active_count()
    views = PhotoReader(photos, workers=3).views()
    assert isinstance(views[0], LazyView)
    assert views[0].pixels.shape == (48, 64, 3)
    threads = [t for t in threading.enumerate() if "ThreadPoolExecutor" in t.name]
    del views
    gc.collect()
    for thread in threads:
        thread.join(timeout=5)
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("size", "mode", "masked"),
    [((64, 48), "LA", True), ((96, 24), "L", True), ((64, 48), "L", False)],
)
def test_only_photos_that_may_have_a_mask_are_decoded_for_it(
    tmp_path: Path, decoded: list[str], size: tuple[int, int], mode: str, *, masked: bool
) -> None:
    Image.new(mode, size).save(tmp_path / "a.png")
    photos = inspect_photos(PhotoFile("a.png", tmp_path / "a.png"), size=128, patch=16)
    (view,) = PhotoReader(photos, workers=1).views()
    assert (view.mask is not None) == masked
    assert decoded == ["a.png"] * masked
