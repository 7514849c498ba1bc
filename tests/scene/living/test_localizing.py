"""Photos are found in a scene that does not change."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fast3r.geometry.transforms import Similarity, rotation_exp
from fast3r.scene.living.choosing import likeness, patch_features
from fast3r.scene.living.localizing import localize
from tests.scene.living.world import (
    SeeingModel,
    a_photo,
    a_scene,
    assert_same_camera,
    camera_of,
    save_photo,
)
from tests.scenes import without_cameras

PHOTOS = [a_photo(number) for number in range(8)]
WORLD = Similarity(
    torch.tensor(2.5, dtype=torch.float64),
    rotation_exp(torch.tensor([0.5, 1.0, -2.0], dtype=torch.float64)),
    torch.tensor([10.0, 0.0, -3.0], dtype=torch.float64),
)


def test_a_photo_is_found_where_it_was_taken() -> None:
    (found,) = a_scene(PHOTOS[:6]).localize(PHOTOS[6].view, SeeingModel(PHOTOS))
    assert_same_camera(found.camera, PHOTOS[6].camera)
    assert found.camera is not None
    assert found.camera.intrinsics[0, 0] == pytest.approx(600)
    assert (found.reason, found.view.name) == (None, "6.png")
    assert found.joint is not None
    assert found.joint.inlier_ratio > 0.99
    assert found.confirmed > 0.99


def test_it_is_found_in_the_world_and_the_unit_of_the_scene() -> None:
    everything = a_scene(PHOTOS, WORLD)
    scene = a_scene(PHOTOS[:6], WORLD)
    (found,) = localize(scene, PHOTOS[7].view, SeeingModel(PHOTOS))
    assert_same_camera(found.camera, camera_of(everything, "7.png"), place=5e-3)


def test_noise_of_the_network_is_averaged_out() -> None:
    (found,) = localize(a_scene(PHOTOS[:6]), PHOTOS[6].view, SeeingModel(PHOTOS, noise=0.02))
    assert_same_camera(found.camera, PHOTOS[6].camera, place=0.03, turn_deg=0.5)


def test_the_scene_stays_as_it_is() -> None:
    scene = a_scene(PHOTOS[:6])
    before = copy.deepcopy(scene)
    localize(scene, PHOTOS[6].view, SeeingModel(PHOTOS))
    assert all(torch.equal(a, b) for a, b in zip(scene.depth, before.depth, strict=True))
    assert [view.name for view in scene.views] == [view.name for view in before.views]


def test_each_of_several_photos_is_found_by_itself() -> None:
    model = SeeingModel(PHOTOS)
    scene = a_scene(PHOTOS[:6])
    both = localize(scene, [PHOTOS[6].view, PHOTOS[7].view], model)
    assert [place.view.name for place in both] == ["6.png", "7.png"]
    (alone,) = localize(scene, [PHOTOS[7].view], SeeingModel(PHOTOS))
    assert both[1].camera is not None
    assert alone.camera is not None
    assert_same_camera(both[1].camera, alone.camera)
    assert [len(names) for names in model.passes] == [7, 7]


def test_the_network_sees_the_views_most_like_the_photo() -> None:
    photos = [a_photo(number) for number in range(16)]
    model = SeeingModel(photos)
    (found,) = localize(a_scene(photos[:15]), photos[15].view, model, max_references=4)
    views = [photo.view for photo in photos]
    (scores,) = likeness(patch_features(views[15:], model), patch_features(views[:15], model))
    best = scores.sort(descending=True).indices[:4].tolist()
    assert found.references == [f"{number}.png" for number in best]
    assert model.passes == [[*found.references, "15.png"]]


def test_references_can_be_named() -> None:
    model = SeeingModel(PHOTOS)
    (found,) = localize(a_scene(PHOTOS[:6]), PHOTOS[6].view, model, references=["1", 4])
    assert found.references == ["1.png", "4.png"]
    assert_same_camera(found.camera, PHOTOS[6].camera)


def test_views_without_a_camera_are_no_references() -> None:
    scene = without_cameras(a_scene(PHOTOS[:6]), 5, 4)
    (found,) = localize(scene, PHOTOS[6].view, SeeingModel(PHOTOS))
    assert set(found.references) == {"0.png", "1.png", "2.png", "3.png"}


def test_a_photo_may_have_the_name_of_a_view() -> None:
    newer = a_photo(6, name="0.png")
    (found,) = localize(a_scene(PHOTOS[:6]), newer.view, SeeingModel([*PHOTOS[:6], newer]))
    assert found.view.name == "0.png"
    assert_same_camera(found.camera, newer.camera)


def test_photos_are_read_from_files(tmp_path: Path) -> None:
    file = save_photo(PHOTOS[6], tmp_path)
    (found,) = localize(a_scene(PHOTOS[:6]), file, SeeingModel(PHOTOS))
    assert_same_camera(found.camera, PHOTOS[6].camera)
    assert found.view.source == file


def test_a_photo_of_another_place_is_not_found() -> None:
    elsewhere = a_photo(6, room=1)
    model = SeeingModel([*PHOTOS, elsewhere])
    (found,) = localize(a_scene(PHOTOS[:6]), elsewhere.view, model)
    assert found.camera is None
    assert found.reason == "it shows nothing that the references show"


def test_a_photo_that_shows_other_things_in_the_same_direction_is_not_found() -> None:
    liar = replace(PHOTOS[6], depth=PHOTOS[6].depth * 0.6)
    (found,) = localize(a_scene(PHOTOS[:6]), liar.view, SeeingModel([*PHOTOS[:6], liar]))
    assert found.camera is None
    assert found.reason is not None
    assert "lies where the scene has it, 50% are needed" in found.reason


def test_a_photo_that_the_network_cannot_place_has_its_reason() -> None:
    model = SeeingModel(PHOTOS)
    model.blind = {"6.png"}
    (found,) = localize(a_scene(PHOTOS[:6]), PHOTOS[6].view, model)
    assert found.camera is None
    assert str(found.reason).startswith("no pose fits its points")
    assert math.isnan(found.confirmed)
    assert str(found).startswith("6.png: no place (no pose fits its points")


def test_a_pass_that_contradicts_the_scene_places_nothing() -> None:
    scene = a_scene(PHOTOS[:6])
    random = torch.Generator().manual_seed(0)
    bent = [d * (2 * torch.randn(d.shape, generator=random)).exp() for d in scene.depth]
    (found,) = localize(replace(scene, depth=bent), PHOTOS[6].view, SeeingModel(PHOTOS))
    assert found.camera is None
    assert "of what both scenes see in 6 shared views comes together" in str(found.reason)


def test_wrong_references_are_refused() -> None:
    scene, model = without_cameras(a_scene(PHOTOS[:6]), 5), SeeingModel(PHOTOS)
    view = PHOTOS[6].view
    with pytest.raises(ValueError, match=r"references: no view is named 'x.png'; the 6 views are"):
        localize(scene, view, model, references=["x.png"])
    with pytest.raises(ValueError, match="references: there is no view 6, the scene has 6"):
        localize(scene, view, model, references=[6])
    with pytest.raises(
        ValueError, match=r"references: 5.png has no camera \(too few sure points\)"
    ):
        localize(scene, view, model, references=[5])
    with pytest.raises(ValueError, match="references: no view is named"):
        localize(scene, view, model, references=[])
    with pytest.raises(ValueError, match="max_references must be at least 2, got 1"):
        localize(scene, view, model, max_references=1)


def test_a_scene_without_cameras_is_refused() -> None:
    scene = without_cameras(a_scene(PHOTOS[:2]), 0, 1)
    with pytest.raises(ValueError, match="none of the 2 views has a camera"):
        localize(scene, PHOTOS[6].view, SeeingModel(PHOTOS))


def test_no_photo_is_refused() -> None:
    with pytest.raises(ValueError, match="no photos were given"):
        localize(a_scene(PHOTOS[:2]), [], SeeingModel(PHOTOS))
