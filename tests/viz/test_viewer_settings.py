"""Which views the controls of the viewer show."""

import pytest

from fast3r.viz.viewer.settings import Settings, format_places, parse_places, shown

SURENESS = [1.5, 4.0, 2.5, 3.0]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("all photos", [0, 1, 2, 3]),
        ("up to this photo", [0, 1, 2]),
        ("only this photo", [2]),
    ],
)
def test_photos_are_shown_as_seen_from_the_current_one(span: str, expected: list[int]) -> None:
    assert shown(Settings(span=span, current=2), SURENESS) == expected


def test_hidden_photos_are_not_shown() -> None:
    assert shown(Settings(hidden=frozenset({0, 3})), SURENESS) == [1, 2]


def test_photos_that_are_not_sure_enough_are_not_shown() -> None:
    assert shown(Settings(sure_from=3.0), SURENESS) == [1, 3]


@pytest.mark.parametrize("places", [set(), {0}, {1, 2, 3}, {0, 2, 3, 7}])
def test_places_are_read_as_they_are_written(places: set[int]) -> None:
    assert parse_places(format_places(frozenset(places)), 8) == places


def test_places_are_written_as_people_count() -> None:
    assert format_places(frozenset({0, 2, 3, 4})) == "1, 3-5"
    assert parse_places(" 3 ,5-6,", 6) == {2, 4, 5}
    assert parse_places("4-2", 6) == {1, 2, 3}


@pytest.mark.parametrize("text", ["x", "1-x", "1-2-3", "1 2"])
def test_text_that_names_no_photo_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"photos are named like '3, 7-12', got '{text}'"):
        parse_places(text, 5)


@pytest.mark.parametrize("text", ["0", "6", "4-9", "9-4"])
def test_photos_that_are_not_there_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"there are photos 1 to 5, got '{text}'"):
        parse_places(text, 5)
