"""Two scenes become one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fast3r.geometry.transforms import Similarity
from fast3r.scene.living.merging import Merged, merge
from fast3r.scene.reconstruction import Reconstruction, Scale, World
from fast3r.scene.refinement.record import RefinementRecord
from tests.scene.living.test_adding import assert_stands
from tests.scene.living.test_localizing import WORLD
from tests.scene.living.world import (
    SeeingModel,
    a_photo,
    a_scene,
    assert_same_camera,
    camera_of,
    view_record,
)
from tests.scenes import without_cameras

PHOTOS = [a_photo(number) for number in range(12)]
LEFT, RIGHT = PHOTOS[:6], PHOTOS[4:10]
TEN = [f"{number}.png" for number in range(10)]


def assert_whole(merged: Merged, everything: Reconstruction, *, place: float = 0.01) -> None:
    """Assert that every view of a merged scene is where a whole one has it."""
    assert sorted(view.name for view in merged.scene.views) == sorted(
        view.name for view in everything.views
    )
    for view in merged.scene.views:
        found = camera_of(merged.scene, view.name)
        assert_same_camera(found, camera_of(everything, view.name), place=place)


def metric(scene: Reconstruction, source: str = "gps") -> Reconstruction:
    return replace(scene, scale=Scale("metric", source))


def test_photos_that_both_have_join_them_without_the_network() -> None:
    a, b = a_scene(LEFT), a_scene(RIGHT, WORLD)
    merged = a.merge(b)
    assert_whole(merged, a_scene(PHOTOS[:10]))
    assert_stands(merged.scene, a)
    assert merged.shared == [("4.png", "4.png"), ("5.png", "5.png")]
    assert (merged.bridge, merged.renamed, merged.checks) == ([], {}, [])
    torch.testing.assert_close(merged.a_from_b.matrix, WORLD.inverse().matrix, rtol=1e-4, atol=1e-4)
    for index, view in enumerate(merged.scene.views):
        true = PHOTOS[int(view.name[:-4])].depth
        torch.testing.assert_close(merged.scene.depth[index], true, rtol=1e-3, atol=0)


def test_a_photo_is_shared_whatever_it_is_called() -> None:
    other = [replace(p, view=replace(p.view, name=f"x/{p.view.name}")) for p in RIGHT]
    merged = merge(a_scene(LEFT), a_scene(other))
    assert merged.shared == [("4.png", "x/4.png"), ("5.png", "x/5.png")]
    names = [view.name for view in merged.scene.views]
    assert names == [*TEN[:6], "x/6.png", "x/7.png", "x/8.png", "x/9.png"]


def test_other_photos_of_a_taken_name_are_renamed() -> None:
    names = ["4.png", "5.png", "0.png", "1-2.png", "1.png", "9.png"]
    other = [
        replace(photo, view=replace(photo.view, name=name))
        for photo, name in zip(RIGHT, names, strict=True)
    ]
    merged = merge(a_scene(LEFT), a_scene(other))
    assert merged.renamed == {"0.png": "0-2.png", "1.png": "1-3.png"}
    assert [v.name for v in merged.scene.views[6:]] == ["0-2.png", "1-2.png", "1-3.png", "9.png"]


def test_of_a_shared_photo_the_surer_view_is_kept() -> None:
    a, b = a_scene(LEFT), a_scene(RIGHT)
    sure = [10 * b.confidence[0], 0.5 * b.confidence[1], *b.confidence[2:]]
    merged = merge(a, replace(b, confidence=sure)).scene
    assert [view.name for view in merged.views] == TEN
    assert merged.confidence[4].median() == 50
    assert merged.confidence[5].median() == 5


def test_a_view_with_a_camera_is_kept_before_a_surer_one_without() -> None:
    a, b = without_cameras(a_scene(LEFT), 4), a_scene(RIGHT)
    a = replace(a, confidence=[100 * confidence for confidence in a.confidence])
    merged = merge(a, b)
    assert_same_camera(camera_of(merged.scene, "4.png"), PHOTOS[4].camera)


def test_a_refined_view_is_kept_before_a_surer_one() -> None:
    record = RefinementRecord("global", "own", 3, 9, 5, 0.5, 0.9, 2.0, 0.3, [view_record()] * 6)
    a, b = a_scene(LEFT), replace(a_scene(RIGHT), refinement=record)
    a = replace(a, confidence=[100 * confidence for confidence in a.confidence])
    merged = merge(a, b).scene
    assert merged.confidence[4].median() == 5
    assert merged.refinement is None


def test_scenes_without_common_photos_meet_in_a_pass_over_both() -> None:
    model = SeeingModel(PHOTOS)
    a, b = a_scene(PHOTOS[:5]), a_scene(PHOTOS[5:10], WORLD)
    merged = merge(a, b, model, max_bridge_views=6)
    assert_whole(merged, a_scene(PHOTOS[:10]), place=0.02)
    assert_stands(merged.scene, a)
    assert model.passes == [merged.bridge]
    assert len(merged.bridge) == 6
    assert [joint.views for joint in merged.joints] == [3, 3]
    assert all(joint.inlier_ratio > 0.99 for joint in merged.joints)


def test_without_a_model_and_common_photos_there_is_no_way() -> None:
    with pytest.raises(ValueError, match="the scenes have no photo in common; give a model"):
        merge(a_scene(PHOTOS[:5]), a_scene(PHOTOS[5:10]))


def test_common_photos_that_contradict_need_a_model() -> None:
    a, b = a_scene(LEFT), a_scene(RIGHT)
    random = torch.Generator().manual_seed(0)
    bent = [d * (2 * torch.randn(d.shape, generator=random)).exp() for d in b.depth]
    with pytest.raises(ValueError, match="the 2 photos that both scenes have do not join them: "):
        merge(a, replace(b, depth=bent))


def test_scenes_of_different_places_are_not_merged() -> None:
    elsewhere = [a_photo(number, room=1) for number in range(5)]
    model = SeeingModel([*PHOTOS, *elsewhere])
    with pytest.raises(ValueError, match="do not show the same surface"):
        merge(a_scene(PHOTOS[:5]), a_scene(elsewhere), model)


def test_a_pass_that_contradicts_a_scene_is_told() -> None:
    a, b = a_scene(PHOTOS[:5]), a_scene(PHOTOS[5:10])
    random = torch.Generator().manual_seed(0)
    bent = [d * (2 * torch.randn(d.shape, generator=random)).exp() for d in b.depth]
    with pytest.raises(
        ValueError, match="a pass over 10 views of both does not agree with the sec"
    ):
        merge(a, replace(b, depth=bent), SeeingModel(PHOTOS))


def test_a_bridge_needs_views_of_both() -> None:
    with pytest.raises(ValueError, match="max_bridge_views must be at least 4"):
        merge(a_scene(LEFT), a_scene(PHOTOS[6:]), SeeingModel(PHOTOS), max_bridge_views=3)


def test_the_metre_of_the_second_scene_becomes_that_of_both() -> None:
    in_other_units = Similarity(torch.tensor(0.2).double(), WORLD.rotation, WORLD.translation)
    a, b = a_scene(LEFT, in_other_units), metric(a_scene(RIGHT))
    a = replace(a, world=World("gravity"))
    merged = merge(a, b).scene
    assert merged.scale == Scale("metric", "gps")
    assert merged.world == World("gravity")
    apart = (
        camera_of(merged, "0.png").world_from_camera - camera_of(merged, "9.png").world_from_camera
    )
    true = PHOTOS[0].camera.world_from_camera - PHOTOS[9].camera.world_from_camera
    assert apart[:3, 3].norm() == pytest.approx(true[:3, 3].norm().item(), rel=1e-3)
    # The axes are those of a, resized.
    resized = a.transformed(Similarity(torch.tensor(5.0), torch.eye(3), torch.zeros(3)))
    assert_same_camera(camera_of(merged, "1.png"), camera_of(resized, "1.png"), place=0.02)


def test_the_world_of_which_more_is_known_is_kept() -> None:
    a = a_scene(LEFT, WORLD)
    b = replace(metric(a_scene(RIGHT)), world=World("east north up", (47.0, 8.0, 400.0)))
    merged = merge(a, b)
    assert merged.scene.world == b.world
    assert merged.scene.scale == b.scale
    assert_whole(merged, a_scene(PHOTOS[:10]))


def test_metres_that_contradict_each_other_are_told() -> None:
    double = Similarity(torch.tensor(2.0), torch.eye(3), torch.zeros(3))
    a, b = metric(a_scene(LEFT)), metric(a_scene(RIGHT, double), "depth maps")
    merged = merge(a, b)
    (check,) = merged.checks
    assert check.status == "disagrees"
    assert check.residual == pytest.approx(100, rel=1e-3)
    assert check.note == "a metre of the second scene (depth maps) is 0.5 m in the first (gps)"
    assert merged.scene.prior_checks == [check]
    assert_whole(merged, a_scene(PHOTOS[:10]))


def test_metres_and_verticals_that_agree_are_told_too() -> None:
    a = replace(metric(a_scene(LEFT)), world=World("gravity"))
    b = replace(metric(a_scene(RIGHT)), world=World("gravity"))
    assert [(check.prior, check.status) for check in merge(a, b).checks] == [
        ("scale of the second scene", "agrees"),
        ("vertical of the second scene", "agrees"),
    ]


def test_places_on_the_earth_are_compared() -> None:
    origins = [(47.0, 8.0, 400.0), (47.001, 8.0, 400.0)]
    a, b = (
        replace(metric(a_scene(photos)), world=World("east north up", origin))
        for photos, origin in zip((LEFT, RIGHT), origins, strict=True)
    )
    (check,) = [c for c in merge(a, b).checks if c.prior == "place of the second scene"]
    assert check.status == "disagrees"
    assert check.residual == pytest.approx(111.2, abs=0.2)


def test_a_merged_scene_survives_saving(tmp_path: Path) -> None:
    merged = merge(a_scene(LEFT), a_scene(RIGHT, WORLD)).scene
    merged.save(tmp_path / "scene.npz")
    assert_stands(Reconstruction.load(tmp_path / "scene.npz"), merged)
