"""GPS and gravity decide about axes and unit of a scene, and are told where they cannot."""

import math
from dataclasses import replace

import pytest
import torch

from fast3r.geometry.transforms import Similarity, rotation_angle_deg, rotation_exp
from fast3r.scene.priors.gps import east_north_up
from fast3r.scene.priors.targets import Targets
from fast3r.scene.priors.types import Gps, Gravity, Priors
from fast3r.scene.priors.world_fit import fit_world
from fast3r.scene.reconstruction import Reconstruction, Scale, World
from tests.scene.known_scenes import (
    METRES_PER_UNIT,
    disagreeing,
    in_world,
    pose_of,
    run,
    standing,
    views,
)
from tests.scene.playback import Truth

# East, north, up: the network's world turned and resized.
ENU_FROM_NETWORK = Similarity(
    torch.tensor(METRES_PER_UNIT).double(),
    rotation_exp(torch.tensor([1.3, 0.2, -0.4]).double()),
    torch.tensor([-20.0, 4.0, 11.0]).double(),
)
PLACE = (46.5, 8.25, 1800.0)


def geographic(positions: torch.Tensor) -> list[tuple[float, float, float]]:
    """Return the inverse of `east_north_up` near a place, by Newton's method."""
    found = torch.tensor([PLACE] * len(positions), dtype=torch.float64)
    metres = torch.tensor([111_000.0, 111_000.0 * math.cos(math.radians(PLACE[0])), 1.0])
    for _ in range(8):
        off = positions - east_north_up(found, PLACE)
        found = found + off[:, [1, 0, 2]] / metres
    torch.testing.assert_close(east_north_up(found, PLACE), positions, rtol=0, atol=1e-6)
    return [(a, b, c) for a, b, c in found.tolist()]


def upright_views(count: int = 12) -> list[Truth]:
    """Return views on a ring of about 20 m, taken upright."""
    return standing(views(count), ENU_FROM_NETWORK.rotation)


def places_of(truths: list[Truth]) -> torch.Tensor:
    """Return where the cameras stand in metres east, north and up."""
    return torch.stack([in_world(truth, ENU_FROM_NETWORK)[:3, 3] for truth in truths])


def up_in_camera(truth: Truth) -> torch.Tensor:
    return in_world(truth, ENU_FROM_NETWORK)[2, :3]


def worst_turn_deg(scene: Reconstruction, truths: list[Truth]) -> float:
    """Return the largest error of a camera's rotation."""
    found = torch.stack([pose_of(scene, index) for index in range(len(truths))])
    true = torch.stack([in_world(truth, ENU_FROM_NETWORK) for truth in truths])
    return rotation_angle_deg(found[:, :3, :3], true[:, :3, :3]).max().item()


def test_latitude_and_longitude_become_metres_east_north_and_up() -> None:
    # Of the tables of WGS 84: degrees at 45 degrees north are 111132 m and 78847 m long.
    places = torch.tensor([[45.01, 7, 5], [45, 7.01, 0]], dtype=torch.float64)
    north, east = east_north_up(places, (45.0, 7.0, 0.0))
    assert north.tolist() == pytest.approx([0, 1111.32, 4.9], abs=0.1)
    assert east.tolist() == pytest.approx([788.47, 0, 0], abs=0.1)


def test_gps_with_noise_puts_the_scene_into_metres_east_north_and_up() -> None:
    truths = upright_views()
    positions = places_of(truths)
    noise = torch.randn(positions.shape, generator=torch.Generator().manual_seed(1))
    told = geographic(positions + 2 * noise)
    scene = run(truths, Priors(gps=Gps(told, horizontal_sigma_m=2, vertical_sigma_m=2)))
    assert scene.world.axes == "east north up"
    assert scene.world.origin == pytest.approx(told[0])
    assert scene.scale == Scale("metric", "gps")
    assert (scene.depth[3] / truths[3].depth).median() == pytest.approx(METRES_PER_UNIT, rel=0.06)
    assert worst_turn_deg(scene, truths) < 6
    # The mean of 12 positions is known to 2 m / sqrt(12), and the origin is one of them.
    told_there = east_north_up(torch.tensor(told).double(), told[0])
    found = torch.stack([pose_of(scene, i)[:3, 3] for i in range(len(truths))])
    assert (found - told_there).mean(dim=0).norm() < 0.1
    assert not disagreeing(scene)


def test_a_position_from_elsewhere_is_reported_and_changes_little() -> None:
    truths = upright_views()
    positions = places_of(truths)
    positions[5] += torch.tensor([300.0, -200.0, 0.0])
    scene = run(truths, Priors(gps=Gps(geographic(positions))))
    assert disagreeing(scene) == ["gps of 5.jpg"]
    assert (scene.depth[3] / truths[3].depth).median() == pytest.approx(METRES_PER_UNIT, rel=0.01)


def test_positions_along_a_line_turn_about_it_by_upright_photos() -> None:
    truths = upright_views(6)
    for index, truth in enumerate(truths):
        place = torch.tensor([4.0 * index, 2.0 * index, 0.0]).double()
        pose = truth.world_from_camera.clone()
        pose[:3, 3] = (ENU_FROM_NETWORK.rotation.mT @ place).float()
        truths[index] = replace(truth, world_from_camera=pose)
    told = geographic(places_of(truths))
    scene = run(truths, Priors(gps=Gps([(a, b, math.nan) for a, b, _ in told])))
    assert worst_turn_deg(scene, truths) < 1


def test_positions_closer_than_their_noise_are_not_used() -> None:
    truths = upright_views(4)
    told = geographic(torch.tensor([[i * 0.5, 0, 0] for i in range(4)], dtype=torch.float64))
    scene = run(truths, Priors(gps=Gps(told)))
    assert scene.scale.kind == "arbitrary"
    assert "no more than twice the noise" in str(scene.prior_checks[0])


def test_swapped_latitudes_and_longitudes_are_found_out() -> None:
    truths = upright_views()
    positions = places_of(truths)
    told = [(b, a, c) for a, b, c in geographic(positions)]
    with pytest.raises(ValueError, match="fit them if latitude and longitude are exchanged"):
        run(truths, Priors(gps=Gps(told)))


def test_gps_of_exif_is_used_where_photos_have_it() -> None:
    truths = upright_views()
    told = geographic(places_of(truths))
    truths = [
        replace(t, view=replace(t.view, gps=place if i != 3 else None))
        for i, (t, place) in enumerate(zip(truths, told, strict=True))
    ]
    scene = run(truths, Priors(gps=Gps()))
    assert scene.scale == Scale("metric", "gps")
    assert len(scene.prior_checks) >= len(truths)


def test_directions_of_gravity_make_z_point_up() -> None:
    truths = views()
    told = [tuple(up_in_camera(truth).mul(-9.81).tolist()) for truth in truths]
    scene = run(truths, Priors(gravity=Gravity(told)))
    assert scene.world == World("gravity")
    for index, truth in enumerate(truths):
        vertical = pose_of(scene, index)[2, :3]
        torch.testing.assert_close(vertical, up_in_camera(truth), rtol=0, atol=5e-3)
    assert scene.scale.kind == "arbitrary"


def test_a_wrong_direction_of_gravity_is_reported() -> None:
    truths = views()
    told = [tuple(up_in_camera(truth).neg().tolist()) for truth in truths]
    told[1] = (told[1][1], told[1][2], told[1][0])
    scene = run(truths, Priors(gravity=Gravity(told)))
    assert disagreeing(scene) == ["gravity of 1.jpg"]
    vertical = pose_of(scene, 0)[2, :3]
    torch.testing.assert_close(vertical, up_in_camera(truths[0]), rtol=0, atol=5e-3)


def test_upright_photos_make_z_point_up() -> None:
    truths = upright_views()
    scene = run(truths, Priors(gravity=Gravity()))
    for index, truth in enumerate(truths):
        vertical = pose_of(scene, index)[2, :3]
        torch.testing.assert_close(vertical, up_in_camera(truth), rtol=0, atol=0.02)


def test_priors_survive_saving(tmp_path) -> None:
    truths = upright_views(5)
    told = geographic(places_of(truths))
    scene = run(truths, Priors(gps=Gps(told)))
    scene.save(tmp_path / "scene.npz")
    found = Reconstruction.load(tmp_path / "scene.npz")
    assert found.world == scene.world
    assert found.scale == scene.scale
    assert found.prior_checks == scene.prior_checks


@pytest.mark.parametrize("seed", range(10))
def test_places_that_have_nothing_in_common_give_no_wild_scale(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)

    def cameras() -> tuple[torch.Tensor, torch.Tensor]:
        turns = rotation_exp(torch.randn(5, 3, generator=random, dtype=torch.float64))
        return torch.randn(5, 3, generator=random, dtype=torch.float64), turns

    (centres, rotations), (known, turned) = cameras(), cameras()
    targets = replace(
        Targets.unknown(5),
        centres=known,
        centre_sigma=torch.full((5, 3), 0.05).double(),
        rotations=turned,
        rotation_sigma_rad=torch.full((5,), 0.05).double(),
    )
    fit = fit_world(centres, rotations, targets).world_from_scene
    assert 0.01 < fit.scale < 100
    assert fit.translation.norm() < 100
