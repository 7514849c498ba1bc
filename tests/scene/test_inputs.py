"""Images that exist only while the network uses them."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from fast3r.scene.inputs import lazy_images, masks_of
from fast3r.views.load import load_views
from fast3r.views.view import View
from tests.scene.playback import a_random_model


def photos(count: int) -> list[View]:
    random = torch.Generator().manual_seed(0)
    sizes = [(64, 96), (96, 64)]
    return [
        View(
            torch.randint(256, (*sizes[i % 2], 3), generator=random).byte(),
            torch.eye(3),
            f"{i}.jpg",
            *sizes[i % 2],
        )
        for i in range(count)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for view in photos(12):
        Image.fromarray(view.pixels.numpy()).save(tmp_path / f"{view.name[:-4]}.png")
    return tmp_path


def test_a_lazy_image_is_the_image_of_its_view() -> None:
    views = photos(4)
    for view, image in zip(views, lazy_images(views), strict=True):
        assert image.shape == (1, 3, view.height, view.width)
        assert torch.equal(torch.stack([image])[0, 0], view.image)
        assert torch.equal(image.to(torch.float64)[0], view.image.double())


def test_the_network_sees_no_difference() -> None:
    views, model = photos(4), a_random_model()
    with torch.no_grad():
        lazy, plain = (
            model.tokens(images) for images in (lazy_images(views), [v.image[None] for v in views])
        )
    for a, b in zip(lazy.levels, plain.levels, strict=True):
        assert torch.equal(a, b)


def test_shapes_are_known_without_decoding(folder: Path) -> None:
    views = load_views(folder, size=96, patch=8, lazy_above=0)
    decoded = counted_decoding(views)
    images = lazy_images(views)
    assert [tuple(image.shape[2:]) for image in images] == [(v.height, v.width) for v in views]
    assert decoded == []


def test_photos_are_decoded_once_and_before_they_are_asked_for(folder: Path) -> None:
    views = load_views(folder, size=96, patch=8, lazy_above=0)
    decoded = counted_decoding(views)
    images = lazy_images(views)
    by_size = sorted(range(len(images)), key=lambda i: images[i].shape)
    for index in by_size:
        torch.stack([images[index]])
    assert sorted(name for name, _ in decoded) == sorted(view.name for view in views)
    assert {thread for _, thread in decoded} != {threading.get_ident()}


def counted_decoding(views) -> list[tuple[str, int]]:
    """Remember which views are decoded, and by which thread."""
    decoded: list[tuple[str, int]] = []
    for view in views:
        vars(view)["_decode"] = remembered(vars(view)["_decode"], view.name, decoded)
    return decoded


def remembered(
    decode: Callable[[], View], name: str, decoded: list[tuple[str, int]]
) -> Callable[[], View]:
    def decode_and_remember() -> View:
        decoded.append((name, threading.get_ident()))
        return decode()

    return decode_and_remember


def test_without_masks_there_are_none() -> None:
    assert masks_of(photos(2)) is None


def test_views_without_a_mask_among_others_are_seen_everywhere() -> None:
    plain, _ = photos(2)
    mask = torch.zeros(64, 96, dtype=torch.bool)
    masked = View(plain.pixels, torch.eye(3), "masked.jpg", 64, 96, mask=mask)
    everywhere, nowhere = masks_of([plain, masked]) or []
    assert everywhere.all()
    assert not nowhere.any()
