"""A scene with shaken cameras, refined from its photos."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from fast3r.geometry.transforms import rotation_angle_deg
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.record import RefinementRecord
from fast3r.scene.refinement.refine import refine
from fast3r.scene.stages import StageRecorder
from tests.scene.corner import HEIGHT, WIDTH, a_corner, a_shaken_corner, shaken, two_rooms


@cache
def refined() -> Reconstruction:
    return refine(a_shaken_corner())


def record_of(scene: Reconstruction) -> RefinementRecord:
    assert scene.refinement is not None
    return scene.refinement


def worst_turn_deg(scene: Reconstruction) -> float:
    """Return the largest error of the rotation between two cameras."""
    found = torch.stack([c.world_from_camera for c in scene.cameras if c is not None]).double()
    truth = torch.stack([camera.world_from_camera for camera in a_corner().cameras]).double()
    found, truth = found[:, :3, :3], truth[:, :3, :3]
    made, true = found[:, None].mT @ found, truth[:, None].mT @ truth
    return rotation_angle_deg(made, true).max().item()


def blinded(scene: Reconstruction, index: int) -> Reconstruction:
    """Return a scene of which one photo shows a plain wall."""
    views = list(scene.views)
    views[index] = replace(views[index], pixels=torch.full((HEIGHT, WIDTH, 3), 128).byte())
    return replace(scene, views=views)


def test_cameras_that_were_degrees_off_are_exact_afterwards() -> None:
    assert worst_turn_deg(a_shaken_corner()) > 4
    assert worst_turn_deg(refined()) < 0.3


def test_positions_are_right_up_to_a_common_scale() -> None:
    found = torch.stack([c.world_from_camera[:3, 3] for c in refined().cameras if c is not None])
    truth = torch.stack([camera.world_from_camera[:3, 3] for camera in a_corner().cameras])
    made, true = torch.pdist(found), torch.pdist(truth)
    torch.testing.assert_close(made / made.mean(), true / true.mean(), rtol=0.02, atol=0)


def test_the_focal_length_is_found() -> None:
    camera = refined().cameras[0]
    assert camera is not None
    assert camera.intrinsics[0, 0].item() == pytest.approx(225, rel=0.03)


def test_the_record_has_the_reprojection_error_before_and_after() -> None:
    record = record_of(refined())
    assert record.before_px is not None
    assert record.after_px is not None
    assert record.before_px > 2
    assert record.after_px < 0.3
    assert record.explained_after > 0.95 > record.explained_before


def test_the_world_stays_where_most_cameras_had_it() -> None:
    for before, after in zip(a_corner().cameras, refined().cameras, strict=True):
        assert after is not None
        offset = after.world_from_camera[:3, 3] - before.world_from_camera[:3, 3]
        assert offset.norm() < 0.4


def test_depth_of_a_wrong_scale_is_right_beside_the_other_views() -> None:
    scene = a_shaken_corner()
    depth = [d * (2.0 if index == 3 else 1.0) for index, d in enumerate(scene.depth)]
    found = refine(replace(scene, depth=depth))
    assert all(view.depth_factor is not None for view in record_of(found).views)
    ratio = [(d / t).median() for d, t in zip(found.depth, a_corner().depth, strict=True)]
    torch.testing.assert_close(torch.stack(ratio), ratio[0].expand(5), rtol=0.03, atol=0)


def test_a_view_without_a_camera_is_placed() -> None:
    scene = a_corner().scene()
    lost = replace(
        scene,
        cameras=[*scene.cameras[:4], None],
        failures=[None] * 4 + ["no pose fits its points"],
    )
    found = refine(lost)
    assert found.registered == [0, 1, 2, 3, 4]
    assert record_of(found).views[4].outcome == "placed"
    assert worst_turn_deg(found) < 0.3


def test_cameras_that_matches_tie_together_are_one_part() -> None:
    assert [view.part for view in record_of(refined()).views] == [0] * 5
    assert record_of(refined()).parts == 1


def test_groups_of_photos_without_a_link_are_two_parts() -> None:
    """The network alone says how two rooms lie to each other."""
    record = record_of(refine(shaken(two_rooms(), turned_deg=2.0, moved=0.1)))
    parts = [view.part for view in record.views]
    assert parts in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])


def test_two_photos_are_enough() -> None:
    record = record_of(refine(shaken(a_corner(2).scene(), turned_deg=4.0, moved=0.2)))
    assert record.refined == 2
    assert record.after_px is not None
    assert record.after_px < 0.3


def test_one_photo_keeps_its_camera() -> None:
    scene = a_corner(1).scene()
    assert refine(scene).cameras[0] is scene.cameras[0]


def test_a_view_without_support_keeps_its_camera_and_says_why() -> None:
    found = refine(blinded(a_shaken_corner(), 2))
    assert found.cameras[2] is a_shaken_corner().cameras[2]
    torch.testing.assert_close(found.depth[2], a_shaken_corner().depth[2])
    entry = record_of(found).views[2]
    assert entry.outcome == "kept"
    assert entry.reason == "none of its features match those of another view"


def test_a_scene_without_any_match_stays_as_it_is() -> None:
    scene = a_shaken_corner()
    for index in range(5):
        scene = blinded(scene, index)
    found = refine(scene)
    assert all(a is b for a, b in zip(found.cameras, scene.cameras, strict=True))
    assert record_of(found).mapping is None
    assert record_of(found).refined == 0


def test_exact_cameras_do_not_become_worse() -> None:
    found = refine(a_corner().scene())
    record = record_of(found)
    assert record.before_px is not None
    assert record.after_px is not None
    assert record.after_px <= record.before_px + 0.02
    assert worst_turn_deg(found) < 0.3


def test_what_is_masked_decides_nothing() -> None:
    """A poster that hangs in the same place of every photo, as a moving thing would."""
    random = torch.Generator().manual_seed(1)
    poster = torch.randint(256, (70, 100, 3), generator=random).byte()
    mask = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    mask[50:120, 60:160] = False
    views = []
    for view in a_shaken_corner().views:
        pixels = view.pixels.clone()
        pixels[50:120, 60:160] = poster
        views.append(replace(view, pixels=pixels, mask=mask))
    found = refine(replace(a_shaken_corner(), views=views))
    assert record_of(found).refined == 5
    assert worst_turn_deg(found) < 0.2


def test_refining_twice_gives_the_same_bits() -> None:
    again = refine(a_shaken_corner())
    for a, b in zip(again.cameras, refined().cameras, strict=True):
        assert a is not None
        assert b is not None
        assert torch.equal(a.world_from_camera, b.world_from_camera)


def test_larger_photos_are_taken_where_they_are_given() -> None:
    small = [
        replace(
            view,
            pixels=view.pixels[::3, ::3].contiguous(),
            original_from_network=torch.diag(torch.tensor([3.0, 3, 1])),
        )
        for view in a_shaken_corner().views
    ]
    scene = replace(
        a_shaken_corner(),
        views=small,
        depth=[d[::3, ::3].contiguous() for d in a_shaken_corner().depth],
        confidence=[torch.ones(HEIGHT // 3, WIDTH // 3)] * 5,
    )
    found = refine(scene, photos=a_corner().views)
    assert record_of(found).refined == 5
    assert worst_turn_deg(found) < 0.3


def test_the_record_is_saved_with_the_scene(tmp_path: Path) -> None:
    refined().save(tmp_path / "scene.npz")
    assert Reconstruction.load(tmp_path / "scene.npz").refinement == refined().refinement


def test_progress_is_told_by_stage() -> None:
    recorder = StageRecorder()
    refine(a_shaken_corner(), recorder=recorder)
    names = [cost.name for cost in recorder.costs]
    assert names == ["features", "matches", "structure from motion", "depth alignment"]


def test_photos_that_do_not_all_connect_are_looked_at_more_thoroughly() -> None:
    recorder = StageRecorder()
    refine(blinded(a_shaken_corner(), 0), recorder=recorder)
    assert "matches, thorough" in [cost.name for cost in recorder.costs]
