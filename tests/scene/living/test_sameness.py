"""Which views are of one photo."""

from dataclasses import replace
from pathlib import Path

from fast3r.scene.living.sameness import shared_photos
from fast3r.views.load import load_views
from fast3r.views.view import View

BANANA = Path("examples/photos/banana")


def loaded(size: int, *, first: int = 0, count: int = 4) -> list[View]:
    return list(load_views(sorted(BANANA.glob("*.jpg"))[first : first + count], size=size))


def without_files(views: list[View]) -> list[View]:
    return [replace(view, source=None) for view in views]


def test_equal_pixels_are_one_photo_under_any_name() -> None:
    some, others = loaded(64), loaded(64, first=2)
    others = [replace(view, name=f"other/{index}") for index, view in enumerate(others)]
    assert shared_photos(some, others) == [(2, 0), (3, 1)]


def test_equal_files_are_one_photo_at_any_size() -> None:
    others = [replace(view, name=f"{index}") for index, view in enumerate(loaded(128, first=1))]
    assert shared_photos(loaded(64), others) == [(1, 0), (2, 1), (3, 2)]


def test_without_files_name_and_look_decide() -> None:
    some, others = without_files(loaded(64)), without_files(loaded(128, first=1))
    assert shared_photos(some, others) == [(1, 0), (2, 1), (3, 2)]
    swapped = [replace(others[0], name=others[1].name), replace(others[1], name=others[0].name)]
    assert shared_photos(some, swapped) == []


def test_a_photo_that_is_there_twice_is_in_one_pair() -> None:
    view = loaded(64)[0]
    assert shared_photos([view, replace(view, name="twin")], [view]) == [(0, 0)]
    assert shared_photos([view], [view, replace(view, name="twin")]) == [(0, 0)]


def test_nothing_in_common_is_no_pair() -> None:
    assert shared_photos(loaded(64, count=2), loaded(64, first=2, count=2)) == []
