"""Leaving out what is found in the photos themselves."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.views.load import load_views
from fast3r.views.masking import people
from fast3r.views.masking.files import mask_file, read_written_mask, write_mask
from fast3r.views.masking.people import FindPeople
from fast3r.views.masking.removal import moved
from tests.views.pictures import noise, save_all

GREEN = (30, 200, 40)


def green(photo: np.ndarray) -> np.ndarray:
    """Return where a photo is green."""
    return (np.abs(photo.astype(int) - GREEN) < 30).all(-1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos whose right half is green, upright and turned."""
    for name, size in (("a.png", (64, 48)), ("b.png", (300, 200)), ("c.png", (90, 160))):
        photo = np.array(noise(size[1], size[0]))
        photo[:, size[0] // 2 :] = GREEN
        Image.fromarray(photo).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("size", [64, 640])
@pytest.mark.parametrize("lazy_above", [0, 9])
def test_any_function_can_say_what_is_to_go(photos: Path, size: int, lazy_above: int) -> None:
    for view in load_views(photos, size=size, remove=[green], lazy_above=lazy_above):
        assert view.mask is not None
        assert view.mask[:, : int(0.4 * view.width)].all()
        assert not view.mask[:, int(0.6 * view.width) :].any()


def test_views_that_are_read_later_stay_so(photos: Path) -> None:
    plain, less = (load_views(photos, remove=r, lazy_above=0)[0] for r in ([], [green]))
    assert type(less) is type(plain)
    assert torch.equal(less.pixels, plain.pixels)
    assert plain.mask is None


def test_what_is_found_adds_to_masks(
    photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("masks")
    upper = np.zeros((48, 64), np.uint8)
    upper[:24] = 255
    Image.fromarray(upper).save(folder / "a.png")
    view = load_views(photos / "a.png", masks=folder, size=64, remove=green)[0]
    assert view.mask is not None
    assert view.mask[:24, :32].all()
    assert view.mask.sum() == 24 * 32


def test_a_photo_of_which_nothing_is_left_is_named(photos: Path) -> None:
    Image.new("RGB", (64, 48), GREEN).save(photos / "d.png")
    views = load_views(photos, remove=[green])
    assert [view.name for view in views] == ["a.png", "b.png", "c.png"]
    assert "keeps 0.0% of it, too little" in views.skipped[0].reason


def test_the_sky_is_left_out_by_name(tmp_path: Path) -> None:
    photo = np.full((96, 128, 3), (70, 80, 40), np.uint8)
    photo[:48] = (110, 160, 235)
    Image.fromarray(photo).save(tmp_path / "a.png")
    view = load_views(tmp_path, remove="sky", size=128)[0]
    assert view.mask is not None
    assert not view.mask[:46].any()
    assert view.mask[50:].all()


@pytest.mark.parametrize("wrong", [lambda p: p[..., 0], lambda p: p[:9, :9, 0] > 0])
def test_a_function_must_return_a_truth_for_each_pixel(photos: Path, wrong) -> None:
    with pytest.raises(ValueError, match=r"must return True or False for each pixel.*for a\.png"):
        load_views(photos, remove=[wrong])


def test_a_mask_moves_to_other_pixels_by_the_nearest() -> None:
    mask = np.zeros((4, 6), bool)
    mask[1, 2] = True
    source_from_target = torch.tensor([[0.5, 0, 0], [0, 0.5, 1], [0, 0, 1]])
    wanted = np.zeros((6, 16), bool)
    wanted[0:2, 4:6] = True
    assert np.array_equal(moved(mask, source_from_target, height=6, width=16), wanted)


@pytest.mark.parametrize("size", [(48, 64), (301, 203)], ids=str)
def test_masks_written_can_be_read(tmp_path: Path, size: tuple[int, int]) -> None:
    save_all(tmp_path, "a.jpg", height=size[0], width=size[1])
    view = load_views(tmp_path / "a.jpg", size=128, patch=1)[0]
    gone = np.zeros((view.height, view.width), bool)
    gone[10:30, 20:50] = True
    path = mask_file(tmp_path / "masks", "a.jpg")
    write_mask(view, gone, path)
    assert np.array_equal(read_written_mask(view, path), gone)
    with Image.open(path) as image:
        assert image.size == size[::-1]
    mask = load_views(tmp_path / "a.jpg", size=128, patch=1, masks=tmp_path / "masks")[0].mask
    assert mask is not None
    assert (mask.numpy() == ~gone).mean() > 0.99


def test_only_masks_of_the_photos_size_can_be_corrected(tmp_path: Path) -> None:
    save_all(tmp_path, "a.jpg", "masks/a.jpg.png", height=40)
    Image.new("L", (9, 9)).save(tmp_path / "masks" / "a.jpg.png")
    view = load_views(tmp_path / "a.jpg")[0]
    with pytest.raises(ValueError, match=r"has 9x9 px, its photo 64x40"):
        read_written_mask(view, tmp_path / "masks" / "a.jpg.png")


class FakePipeline:
    """Says that a fixed part of each photo is something."""

    def __init__(self, label: str, others: str = "wall") -> None:
        self.label = label
        self.model = SimpleNamespace(config=SimpleNamespace(id2label={0: others, 1: label}))

    def __call__(self, image: Image.Image) -> list[dict[str, object]]:
        mask = np.zeros((image.height, image.width), np.uint8)
        mask[20:30, 20:30] = 255
        whole = Image.new("L", image.size, 255)
        return [{"label": "wall", "mask": whole}, {"label": self.label, "mask": mask}]


def fake_transformers(monkeypatch: pytest.MonkeyPatch, label: str) -> list[tuple[str, str]]:
    asked: list[tuple[str, str]] = []

    def pipeline(task: str, *, model: str) -> FakePipeline:
        asked.append((task, model))
        return FakePipeline(label)

    library = ModuleType("transformers")
    library.pipeline = pipeline  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", library)
    return asked


@pytest.mark.parametrize("label", ["person", "Person", "rider", "person, individual, someone"])
def test_people_are_what_the_network_calls_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, label: str
) -> None:
    asked = fake_transformers(monkeypatch, label)
    save_all(tmp_path, "a.png", height=384, width=512)
    view = load_views(tmp_path, remove=["people"])[0]
    assert asked == [("image-segmentation", people.DEFAULT_MODEL)]
    gone = torch.ones(384, 512, dtype=torch.bool)
    gone[17:33, 17:33] = False
    assert view.mask is not None
    assert torch.equal(view.mask, gone)


def test_a_network_that_knows_no_people_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_transformers(monkeypatch, "cat")
    with pytest.raises(ValueError, match="some/cats knows no people, only wall, cat; take another"):
        FindPeople("some/cats")


def test_without_the_library_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, photos: Path
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        ImportError, match=r"people need transformers: pip install 'fast3r\[masks\]"
    ):
        load_views(photos, remove=["people"])


def test_a_network_that_is_not_to_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def pipeline(task: str, **options: object) -> None:
        raise OSError("no connection\nand more")

    library = ModuleType("transformers")
    library.pipeline = pipeline  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", library)
    with pytest.raises(ValueError, match="network nowhere for people is neither on this machine"):
        FindPeople("nowhere")
