"""Photos are found exactly, by features that they share with views whose cameras are exact."""

import sys
from dataclasses import replace

import pytest
import torch

from fast3r.geometry.cameras import Camera
from fast3r.geometry.transforms import Similarity, rotation_exp
from fast3r.scene.living.adding import add
from fast3r.scene.living.localizing import localize
from fast3r.scene.living.matched import Matcher
from fast3r.scene.living.removing import subset
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.record import RefinementRecord
from tests.scene.corner import a_corner, shaken
from tests.scene.living.world import assert_same_camera, camera_of, view_record
from tests.scene.playback import a_random_model

FULL = a_corner().scene()
REST = subset(FULL, [0, 1, 3, 4])
NEW = FULL.views[2]


def true_camera() -> Camera:
    return camera_of(FULL, "2.png")


def test_a_photo_is_found_to_a_fraction_of_a_degree() -> None:
    (found,) = localize(REST, NEW, a_random_model(), exact=True)
    assert found.camera is not None
    assert_same_camera(found.camera, true_camera(), place=0.01, turn_deg=0.1)
    assert torch.equal(found.camera.intrinsics, true_camera().intrinsics)
    assert found.matches > 50
    assert found.joint is None
    assert str(found).endswith(f"found; 4 references, {found.matches} matches")


def test_it_is_found_in_any_world() -> None:
    turn = rotation_exp(torch.tensor([0.5, 1.0, -2.0], dtype=torch.float64))
    world = Similarity(torch.tensor(0.2).double(), turn, torch.tensor([50.0, 0, 0]).double())
    moved = FULL.transformed(world)
    (found,) = localize(REST.transformed(world), NEW, a_random_model(), exact=True)
    assert_same_camera(found.camera, camera_of(moved, "2.png"), place=0.005, turn_deg=0.1)


def test_another_camera_finds_its_own_focal_length() -> None:
    other = replace(NEW, camera_key="another camera")
    (found,) = localize(REST, other, a_random_model(), exact=True)
    assert found.camera is not None
    assert found.camera.intrinsics[0, 0] == pytest.approx(225, rel=0.01)
    assert_same_camera(found.camera, true_camera(), place=0.05, turn_deg=0.3)


def test_references_that_are_wrong_show_nothing_in_one_place() -> None:
    wrong = shaken(REST, turned_deg=8.0, moved=0.4)
    assert Matcher(wrong).place(NEW, [0, 1, 2, 3]) is None


def test_a_photo_of_something_else_matches_nothing() -> None:
    other = a_corner(seed=9).views[2]
    assert Matcher(REST).place(other, [0, 1, 2, 3]) is None


def as_refined(scene: Reconstruction) -> Reconstruction:
    views = [view_record() for _ in scene.views]
    return replace(
        scene,
        refinement=RefinementRecord("global", "own", 3, 9, 5, 0.5, 0.9, 2.0, 0.3, views),
    )


def test_an_added_photo_has_the_exact_camera_and_is_recorded_as_placed() -> None:
    added = add(as_refined(REST), NEW, a_random_model(), exact=True)
    (photo,) = added.photos
    assert (photo.outcome, photo.reason) == ("placed", None)
    assert photo.matches > 50
    assert_same_camera(camera_of(added.scene, "2.png"), true_camera(), place=0.01, turn_deg=0.1)
    record = added.scene.refinement
    assert record is not None
    assert (record.views[4].outcome, record.views[4].part) == ("placed", 0)
    assert record.views[4].points == photo.matches


def test_depth_is_brought_to_the_points() -> None:
    matched = Matcher(REST).place(NEW, [0, 1, 2, 3])
    assert matched is not None
    half = 0.5 * FULL.depth[2]
    assert matched.depth_factor(NEW, half) == pytest.approx(2, rel=0.01)
    assert matched.depth_factor(NEW, torch.zeros_like(half)) is None


def test_without_pycolmap_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(ImportError, match="exact localization needs pycolmap: pip install"):
        localize(REST, NEW, a_random_model(), exact=True)
