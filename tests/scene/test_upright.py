"""Sideways photos are found where matches are sure of it, and change only what the network sees.

Turned views of an exact scene give the very scene that views as stored give.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fast3r.export import depth_maps
from fast3r.geometry.transforms import rotation_exp
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.pair_motions import PairMotion
from fast3r.scene.priors.types import Gravity, Intrinsics, Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.photos import working_photo
from fast3r.scene.run import reconstruct
from fast3r.scene.upright import find_turns, linked_sets, upright
from fast3r.views.turning import network_from_photo_camera, quarter_turns, turned
from fast3r.views.view import SkippedPhoto, View, Views
from tests.scene.known_scenes import standing, views
from tests.scene.playback import PlayedBack, Truth, a_view, predicted

TURNS = [1, 0, 2, 3]


def seen_turned(truth: Truth, turns: int) -> tuple[View, Prediction]:
    """Return a turned view, and what the network would say of it if it said the same points."""
    view = turned(truth.view, turns)
    plain = predicted(truth)
    turn = network_from_photo_camera(view)[:3, :3]
    local = Pointmap(plain.local.points @ turn.mT, plain.local.confidence)
    return view, Prediction(_turned(plain.world, turns), _turned(local, turns))


def _turned(pointmap: Pointmap, turns: int) -> Pointmap:
    return Pointmap(
        torch.rot90(pointmap.points, -turns, dims=(1, 2)),
        torch.rot90(pointmap.confidence, -turns, dims=(1, 2)),
    )


def both(
    truths: list[Truth], priors: Priors | None = None
) -> tuple[Reconstruction, Reconstruction]:
    """Return the scene of views as stored, and of the same views turned."""
    plain = reconstruct(
        [t.view for t in truths], PlayedBack([predicted(t) for t in truths]), priors=priors
    )
    pairs = [seen_turned(truth, turn) for truth, turn in zip(truths, TURNS, strict=True)]
    model = PlayedBack([prediction for _, prediction in pairs])
    return plain, reconstruct([view for view, _ in pairs], model, priors=priors)


@pytest.fixture(scope="module")
def scenes() -> tuple[Reconstruction, Reconstruction]:
    return both([a_view(seed, *size, 560.0) for seed, size in enumerate(SIZES)])


SIZES = [(480, 640), (640, 480), (480, 640), (470, 650)]


def test_turned_views_have_the_cameras_of_the_photos_as_stored(
    scenes: tuple[Reconstruction, Reconstruction],
) -> None:
    for plain, after in zip(scenes[0].cameras, scenes[1].cameras, strict=True):
        assert (plain.height, plain.width) == (after.height, after.width)
        torch.testing.assert_close(plain.intrinsics, after.intrinsics, rtol=2e-3, atol=0.01)
        torch.testing.assert_close(
            plain.world_from_camera, after.world_from_camera, rtol=0, atol=3e-3
        )


def test_intrinsics_of_turned_views_are_upper_triangular_with_positive_focals(
    scenes: tuple[Reconstruction, Reconstruction],
) -> None:
    for camera in scenes[1].cameras:
        assert (camera.intrinsics.diagonal() > 0).all()
        assert torch.equal(camera.intrinsics.triu(), camera.intrinsics)


def test_each_photo_pixel_has_the_same_point_however_its_view_was_turned(
    scenes: tuple[Reconstruction, Reconstruction],
) -> None:
    for index, turns in enumerate(TURNS):
        plain = scenes[0].world_points(index)
        after = torch.rot90(scenes[1].world_points(index), turns, dims=(0, 1))
        torch.testing.assert_close(plain, after, rtol=0, atol=0.02)


def test_points_of_turned_views_know_their_pixels_in_the_photo(
    scenes: tuple[Reconstruction, Reconstruction],
) -> None:
    cloud = scenes[1].point_cloud()
    for index, _, camera in scenes[1].posed_views():
        chosen = cloud.view_index == index
        world_from_camera = camera.world_from_camera.double()
        seen = (cloud.points[chosen].double() - world_from_camera[:3, 3]) @ world_from_camera[
            :3, :3
        ]
        pixels = (seen @ camera.intrinsics.double().mT)[:, :2] / seen[:, 2:]
        torch.testing.assert_close(pixels, cloud.pixel[chosen].double(), rtol=0, atol=0.01)


def test_depth_maps_of_turned_views_lead_to_the_same_pixels_of_the_photo(
    scenes: tuple[Reconstruction, Reconstruction], tmp_path: Path
) -> None:
    for name, scene in zip(("plain", "turned"), scenes, strict=True):
        depth_maps.write(scene, tmp_path / name)
    for index in range(len(TURNS)):
        plain, after = (np.load(tmp_path / name / f"{index}.npz") for name in ("plain", "turned"))
        depth = np.rot90(after["depth"], TURNS[index])
        np.testing.assert_allclose(depth, plain["depth"], atol=0.02)
        photo = [each["original_from_network"] @ each["intrinsics"] for each in (plain, after)]
        np.testing.assert_allclose(*photo, rtol=2e-3, atol=0.01)


def test_known_intrinsics_hold_for_turned_views() -> None:
    truths = views(4)
    known = Priors(intrinsics={"*": Intrinsics((561.0, 559.0), (322.0, 237.5))})
    plain, after = both(truths, known)
    for a, b in zip(plain.cameras, after.cameras, strict=True):
        assert torch.equal(a.intrinsics, b.intrinsics)
        torch.testing.assert_close(a.world_from_camera, b.world_from_camera, rtol=0, atol=3e-3)


def test_up_is_up_in_the_turned_image_where_photos_are_said_to_be_upright() -> None:
    truths = standing(views(4), torch.eye(3))
    # Held sideways: the photo is stored as the camera stood, and seen upright only when turned.
    held = [
        replace(t, world_from_camera=t.world_from_camera @ _roll(turns))
        for t, turns in zip(truths, TURNS, strict=True)
    ]
    pairs = [seen_turned(truth, turn) for truth, turn in zip(held, TURNS, strict=True)]
    scene = reconstruct(
        [view for view, _ in pairs],
        PlayedBack([prediction for _, prediction in pairs]),
        priors=Priors(gravity=Gravity()),
    )
    for camera, truth in zip(scene.cameras, truths, strict=True):
        height = camera.world_from_camera[2, 3] - scene.cameras[0].world_from_camera[2, 3]
        wanted = truth.world_from_camera[2, 3] - truths[0].world_from_camera[2, 3]
        assert abs(height - wanted) < 0.3


def _roll(quarter_turns: int) -> Tensor:
    """Return the turn of a camera whose photos must be turned clockwise so often."""
    turn = torch.eye(4)
    turn[:3, :3] = rotation_exp(torch.tensor([0.0, 0.0, quarter_turns * torch.pi / 2]))
    return turn


def test_features_are_looked_for_in_the_photo_as_stored() -> None:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (24, 40, 3), generator=random, dtype=torch.uint8)
    stored = View(pixels, torch.eye(3), "a.jpg", 24, 40)
    photo = working_photo(turned(stored, 1), None, max_side_px=640)
    assert torch.equal(photo.pixels, stored.pixels)
    assert (photo.pitch, photo.left, photo.top) == (1.0, 0.0, 0.0)


# Which photos are turned


def seen_by(
    first: Tensor, second: Tensor, *, pair: tuple[int, int], matches: int = 100
) -> PairMotion:
    """Return what features would tell of two cameras, given by their rotations to the world."""
    second_from_first = (second.mT @ first).double()
    spin = second_from_first[1, 0] - second_from_first[0, 1]
    roll = torch.atan2(spin, second_from_first[0, 0] + second_from_first[1, 1])
    across = torch.zeros(2, 3, dtype=torch.float64)
    return PairMotion(
        pair, matches, roll.rad2deg().item(), 3.0, second_from_first, across, across[:, :2]
    )


def orbit(pitch_deg: float, steps_deg: Sequence[float], rolls: Sequence[int]) -> list[PairMotion]:
    """Return the motions between cameras that go around something while looking down at it.

    The photo of each must be turned clockwise by its roll to be upright.
    """
    down = rotation_exp(torch.tensor([-pitch_deg, 0.0, 0.0]).deg2rad())
    cameras = [
        rotation_exp(torch.tensor([0.0, step, 0.0]).deg2rad()) @ down @ _roll(roll)[:3, :3]
        for step, roll in zip(steps_deg, rolls, strict=True)
    ]
    return [
        seen_by(cameras[i], cameras[j], pair=(i, j))
        for i in range(len(cameras))
        for j in range(i + 1, len(cameras))
    ]


@pytest.mark.parametrize("pitch_deg", [-20.0, 0.0, 20.0])
def test_relative_turns_of_level_photos_are_found_across_wide_angles(pitch_deg: float) -> None:
    (found,) = linked_sets(orbit(pitch_deg, [0, 10, 20, 30], [0, 1, 0, 2]))
    assert found.members == {0: 0, 1: 1, 2: 0, 3: 2} or found.turned(-found.members[0]).members == {
        0: 0,
        1: 1,
        2: 0,
        3: 2,
    }


@pytest.mark.parametrize("pitch_deg", [30.0, 45.0])
def test_a_walk_around_something_seen_from_above_turns_no_photo(pitch_deg: float) -> None:
    steps = [float(step) for step in range(0, 360, 30)]
    for found in linked_sets(orbit(pitch_deg, steps, [0] * len(steps))):
        assert len(set(found.members.values())) == 1


def test_one_link_alone_turns_no_photo() -> None:
    motions = orbit(0.0, [0, 5, 10, 15], [0, 0, 0, 1])
    lonely = [m for m in motions if 3 not in m.pair or m.pair == (2, 3)]
    (found,) = linked_sets(lonely)
    assert set(found.members) == {0, 1, 2}


def test_links_that_contradict_each_other_turn_no_photo() -> None:
    motions = orbit(0.0, [0, 5, 10], [0, 1, 0])
    other = orbit(0.0, [0, 5, 10], [0, 0, 0])
    assert linked_sets([*motions[:2], other[2]]) == []


def test_few_or_scattered_matches_turn_no_photo() -> None:
    motions = orbit(0.0, [0, 5, 10], [0, 1, 0])
    assert linked_sets([replace(m, matches=10) for m in motions]) == []
    assert linked_sets([replace(m, spread_deg=40.0) for m in motions]) == []


def pan(rolls: Sequence[int]) -> Views:
    """Return photos along a painted wall, each to be turned clockwise to be upright."""
    pytest.importorskip("pycolmap")
    random = torch.Generator().manual_seed(0)
    wall = torch.zeros(1, 3, 160, 260)
    for cells in (8, 16, 32, 64):
        noise = torch.rand(1, 3, cells, 2 * cells, generator=random)
        wall += torch.nn.functional.interpolate(noise, (160, 260), mode="bicubic")
    wall = 255 * (wall - wall.min()) / (wall.max() - wall.min())
    photos = []
    for index, roll in enumerate(rolls):
        left, top = 15 * index, 2 * index
        shown = wall[0, :, top : top + 140, left : left + 190].permute(1, 2, 0).to(torch.uint8)
        pixels = torch.rot90(shown, roll, dims=(0, 1)).contiguous()
        height, width = pixels.shape[:2]
        photos.append(View(pixels, torch.eye(3), f"{index}.jpg", height, width))
    return Views(photos, [SkippedPhoto("notes.txt", "not a photo")])


def test_the_sideways_photo_of_a_set_is_found() -> None:
    assert find_turns(pan([0, 1, 0, 0, 2])) == {1: 1, 4: 2}


def test_upright_photos_stay_the_same_objects() -> None:
    photos = pan([0, 0, 0, 0])
    after = upright(photos)
    assert all(a is b for a, b in zip(after, photos, strict=True))


def test_turning_the_photos_keeps_those_left_out() -> None:
    after = upright(pan([0, 3, 0, 0]))
    assert [quarter_turns(view) for view in after] == [0, 3, 0, 0]
    assert [photo.name for photo in after.skipped] == ["notes.txt"]


def test_photos_without_features_stay() -> None:
    pytest.importorskip("pycolmap")
    blank = [
        View(torch.full((60, 80, 3), 90, dtype=torch.uint8), torch.eye(3), f"{i}.jpg", 60, 80)
        for i in range(3)
    ]
    assert find_turns(blank) == {}
