"""Photos join a scene, and what stands stays as it is."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fast3r.models.prediction import Pointmap
from fast3r.scene.living.adding import add
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.reconstruction import Reconstruction, Scale, World
from fast3r.scene.refinement.record import RefinementRecord
from fast3r.views.view import SkippedPhoto, Views
from tests.scene.living.test_localizing import WORLD
from tests.scene.living.world import (
    SeeingModel,
    a_photo,
    a_scene,
    assert_same_camera,
    camera_of,
    save_photo,
    view_record,
)
from tests.scenes import without_cameras

PHOTOS = [a_photo(number) for number in range(12)]


def assert_stands(after: Reconstruction, before: Reconstruction) -> None:
    """Assert that the views of a scene are the first of another one, bit for bit."""
    for index, view in enumerate(before.views):
        assert after.views[index].name == view.name
        assert torch.equal(after.depth[index], before.depth[index])
        old, new = before.cameras[index], after.cameras[index]
        if old is None:
            assert new is None
            continue
        assert new is not None
        assert torch.equal(old.world_from_camera, new.world_from_camera)
        assert torch.equal(old.intrinsics, new.intrinsics)


def test_new_photos_stand_where_they_were_taken_and_the_others_stay() -> None:
    scene, everything = a_scene(PHOTOS[:8], WORLD), a_scene(PHOTOS[:10], WORLD)
    added = scene.add([PHOTOS[8].view, PHOTOS[9].view], SeeingModel(PHOTOS))
    assert added.placed == ["8.png", "9.png"]
    assert_stands(added.scene, scene)
    for name in added.placed:
        assert_same_camera(camera_of(added.scene, name), camera_of(everything, name), place=0.01)
    torch.testing.assert_close(
        added.scene.depth[9], everything.depth[9], rtol=5e-3, atol=0.0
    )  # 2.5 units a metre


def test_photos_come_in_groups_and_later_ones_lean_on_earlier_ones() -> None:
    model = SeeingModel(PHOTOS)
    views = [PHOTOS[number].view for number in (11, 8, 10, 9)]
    added = add(a_scene(PHOTOS[:2]), views, model, photos_at_once=2, max_references=4)
    assert [len(names) for names in model.passes] == [4, 6]
    assert set(model.passes[0][2:]) < set(model.passes[1])
    assert [view.name for view in added.scene.views[2:]] == ["11.png", "8.png", "10.png", "9.png"]
    assert [photo.name for photo in added.photos] == ["11.png", "8.png", "10.png", "9.png"]
    for number in (8, 9, 10, 11):
        name = f"{number}.png"
        assert_same_camera(camera_of(added.scene, name), PHOTOS[number].camera, place=0.01)


def test_a_failing_photo_joins_without_a_camera_and_with_its_reason() -> None:
    model = SeeingModel(PHOTOS)
    model.blind = {"9.png"}
    added = add(a_scene(PHOTOS[:8]), [PHOTOS[8].view, PHOTOS[9].view], model)
    assert [photo.outcome for photo in added.photos] == ["placed", "unplaced"]
    assert added.scene.cameras[9] is None
    assert str(added.scene.failures[9]).startswith("no pose fits its points")
    assert added.photos[1].reason == added.scene.failures[9]


def test_a_pass_that_contradicts_the_scene_places_none_of_its_photos() -> None:
    scene = a_scene(PHOTOS[:6])
    random = torch.Generator().manual_seed(0)
    bent = [d * (2 * torch.randn(d.shape, generator=random)).exp() for d in scene.depth]
    added = add(replace(scene, depth=bent), [PHOTOS[6].view], SeeingModel(PHOTOS))
    assert added.placed == []
    assert "shared views comes together" in str(added.photos[0].reason)
    assert added.photos[0].joint is not None
    assert added.photos[0].joint.inlier_ratio < 0.25


def test_photos_that_the_scene_has_are_left_out() -> None:
    model = SeeingModel(PHOTOS)
    twin = replace(PHOTOS[3].view, name="copy.png")
    namesake = replace(PHOTOS[9].view, name="3.png")
    again = replace(PHOTOS[8].view, name="again.png")
    added = add(a_scene(PHOTOS[:8]), [twin, namesake, PHOTOS[8].view, again], model)
    assert [photo.outcome for photo in added.photos] == [
        "left out",
        "left out",
        "placed",
        "left out",
    ]
    assert [photo.reason for photo in added.photos] == [
        "the scene has this photo already, as 3.png",
        "the scene has another photo of this name; rename one of them",
        None,
        "it is the same photo as 8.png",
    ]
    assert math.isnan(added.photos[0].confirmed)
    assert [view.name for view in added.scene.views[8:]] == ["8.png"]


def test_photos_that_are_given_twice_and_namesakes_are_left_out() -> None:
    namesake = replace(PHOTOS[9].view, name="8.png")
    views = [PHOTOS[8].view, PHOTOS[8].view, namesake]
    added = add(a_scene(PHOTOS[:8]), views, SeeingModel(PHOTOS))
    assert [photo.reason for photo in added.photos] == [
        None,
        "it is the same photo as 8.png",
        "the scene has another photo of this name; rename one of them",
    ]
    assert len(added.scene.views) == 9


def test_nothing_new_costs_no_pass() -> None:
    model, scene = SeeingModel(PHOTOS), a_scene(PHOTOS[:8])
    added = add(scene, [PHOTOS[0].view], model)
    assert model.passes == []
    assert_stands(added.scene, scene)
    assert len(added.scene.views) == 8


def test_what_is_known_of_the_scene_stays_known() -> None:
    check = PriorCheck("gps of 1.png", "agrees", 1.0, 3.0, "m")
    scene = replace(
        a_scene(PHOTOS[:8]),
        scale=Scale("metric", "gps"),
        world=World("east north up", (47.0, 8.0, 400.0)),
        prior_checks=[check],
        skipped=[SkippedPhoto("a.txt", "no photo")],
    )
    views = Views([PHOTOS[8].view], [SkippedPhoto("b.txt", "no photo either")])
    after = add(scene, views, SeeingModel(PHOTOS)).scene
    assert (after.scale, after.world, after.prior_checks) == (scene.scale, scene.world, [check])
    assert [photo.name for photo in after.skipped] == ["a.txt", "b.txt"]


def test_the_record_of_refinement_says_that_new_views_came_later() -> None:
    record = RefinementRecord(
        "global", "shared", 3, 99, 50, 0.5, 0.9, 2.0, 0.3, [view_record() for _ in range(8)]
    )
    model = SeeingModel(PHOTOS)
    model.blind = {"9.png"}
    scene = replace(a_scene(PHOTOS[:8]), refinement=record)
    after = add(scene, [PHOTOS[8].view, PHOTOS[9].view], model).scene.refinement
    assert after is not None
    assert after.views[:8] == record.views
    assert [view.outcome for view in after.views[8:]] == ["kept", "unplaced"]
    assert after.views[8].reason == "it joined the scene after refinement"
    assert after.refined == 8


def test_pointmaps_of_the_world_head_are_kept_where_the_scene_has_them() -> None:
    scene = a_scene(PHOTOS[:8])
    maps = [Pointmap(scene.world_points(index), scene.confidence[index]) for index in range(8)]
    scene = replace(scene, world_pointmaps=maps)
    after = add(scene, [PHOTOS[8].view], SeeingModel(PHOTOS)).scene
    assert after.world_pointmaps is not None
    torch.testing.assert_close(
        after.world_pointmaps[8].points, after.world_points(8), rtol=0, atol=0.01
    )


def test_photos_are_read_from_a_folder(tmp_path: Path) -> None:
    for number in (8, 9):
        save_photo(PHOTOS[number], tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    added = add(a_scene(PHOTOS[:8]), tmp_path, SeeingModel(PHOTOS))
    assert added.placed == ["8.png", "9.png"]
    assert [photo.name for photo in added.scene.skipped] == ["broken.png"]


def test_a_grown_scene_survives_saving(tmp_path: Path) -> None:
    added = add(a_scene(PHOTOS[:8]), [PHOTOS[8].view], SeeingModel(PHOTOS)).scene
    added.save(tmp_path / "scene.npz")
    assert_stands(Reconstruction.load(tmp_path / "scene.npz"), added)


def test_views_without_a_camera_stay_without() -> None:
    scene = without_cameras(a_scene(PHOTOS[:8]), 2)
    after = add(scene, [PHOTOS[8].view], SeeingModel(PHOTOS)).scene
    assert_stands(after, scene)
    assert after.failures[2] == "too few sure points"


def test_groups_of_no_photo_are_refused() -> None:
    with pytest.raises(ValueError, match="photos_at_once must be at least 1, got 0"):
        add(a_scene(PHOTOS[:8]), [PHOTOS[8].view], SeeingModel(PHOTOS), photos_at_once=0)
