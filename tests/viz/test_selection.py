"""Choosing views."""

import pytest

from fast3r.viz.selection import find_views, only_views
from tests.scenes import make_scene, without_cameras

SCENE = make_scene(("landscape",) * 6)  # day0/IMG_0.jpg, day1/IMG_1.jpg, day0/IMG_2.jpg, ...


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1", {0}),
        ("2-4", {1, 2, 3}),
        ("1, 5-6", {0, 4, 5}),
        ("day1/IMG_3.jpg", {3}),
        ("day0/*", {0, 2, 4}),
        ("*_[12].jpg,6", {1, 2, 5}),
    ],
)
def test_views_are_told_by_number_name_or_pattern(text: str, found: set[int]) -> None:
    assert find_views(SCENE, text) == found


@pytest.mark.parametrize("text", ["0", "7", "3-2", "5-7"])
def test_numbers_beyond_the_views_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"numbered from 1 to 6, got '{text}'"):
        find_views(SCENE, text)


def test_unknown_names_are_refused_with_some_that_are_there() -> None:
    with pytest.raises(ValueError, match=r"no view is named 'IMG_1'; there are day0/IMG_0.jpg, "):
        find_views(SCENE, "1,IMG_1")


@pytest.mark.parametrize("text", ["", " , "])
def test_nothing_is_no_choice(text: str) -> None:
    with pytest.raises(ValueError, match="no view was named"):
        find_views(SCENE, text)


def test_views_that_were_not_chosen_lose_their_cameras_and_keep_their_numbers() -> None:
    scene = only_views(without_cameras(SCENE, 1), {1, 2}, reason="not wanted")
    assert scene.registered == [2]
    assert len(scene.views) == 6
    assert scene.failures[:3] == ["not wanted", "too few sure points", None]
