"""Views leave a scene, and the others stay as they are."""

from dataclasses import replace

import pytest

from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.refinement.record import RefinementRecord
from tests.scene.living.test_adding import assert_stands
from tests.scene.living.world import a_photo, a_scene, view_record

NAMES = ["a.png", "bb.png", "b.png", "c/b.png"]
PHOTOS = [a_photo(number, name=name) for number, name in enumerate(NAMES)]


def test_the_others_stay_bit_for_bit() -> None:
    scene = a_scene(PHOTOS)
    rest = scene.remove(["a.png", -1])
    assert_stands(rest, a_scene(PHOTOS[1:3]))
    assert [view.name for view in scene.views] == NAMES


@pytest.mark.parametrize("which", ["bb.png", "bb", 1, -3, ["bb.png", 1]])
def test_a_view_is_named_or_counted(which: str | int | list[str | int]) -> None:
    assert [v.name for v in a_scene(PHOTOS).remove(which).views] == ["a.png", "b.png", "c/b.png"]


def test_checks_of_a_removed_view_go_and_those_of_others_stay() -> None:
    names = [
        "gps of b.png",
        "gps of bb.png",
        "gps of c/b.png",
        "distance from (3, 4) in b.png to the camera of a.png",
        "track of the cameras",
    ]
    scene = replace(a_scene(PHOTOS), prior_checks=[PriorCheck(name, "agrees") for name in names])
    rest = scene.remove(2)
    assert [check.prior for check in rest.prior_checks] == [names[1], names[2], names[4]]


def test_the_record_of_refinement_loses_the_entry_of_the_view() -> None:
    entries = [replace(view_record(), points=points) for points in range(4)]
    record = RefinementRecord("global", "shared", 3, 99, 50, 0.5, 0.9, 2.0, 0.3, entries)
    rest = replace(a_scene(PHOTOS), refinement=record).remove([0, 2]).refinement
    assert rest is not None
    assert [view.points for view in rest.views] == [1, 3]
    assert rest.matches == 99


def test_unknown_views_are_refused() -> None:
    scene = a_scene(PHOTOS)
    with pytest.raises(ValueError, match=r"no view is named 'x.png'; the 4 views are"):
        scene.remove("x.png")
    with pytest.raises(ValueError, match="remove: there is no view 4, the scene has 4"):
        scene.remove(4)
    with pytest.raises(ValueError, match="remove: no view is named; give names or indices"):
        scene.remove([])


def test_the_last_view_has_to_stay() -> None:
    with pytest.raises(ValueError, match="remove: that is all 4 views; at least one has to stay"):
        a_scene(PHOTOS).remove(range(4))
