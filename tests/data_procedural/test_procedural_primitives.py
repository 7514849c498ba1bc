"""Each scene here is a random one with all its objects buried, but for those under test."""

import dataclasses

import pytest
import torch

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.dice import Dice
from fast3r.data.procedural.primitives import FAR, ground_height, shadowed, trace
from fast3r.data.procedural.random_scene import random_scene
from fast3r.data.procedural.scene import (
    FIRST_BALL,
    FIRST_CYLINDER,
    FIRST_POLYTOPE,
    FIRST_ROCK,
    GROUND,
    NUM_OBJECTS,
    ROOM,
    Scene,
)
from fast3r.data.procedural.surfaces import surface_at
from fast3r.data.procedural.textures import load_bank


def scene_with(
    slot: int, centre: list[float], half_size: list[float], *, room: bool = False
) -> Scene:
    """Return one scene whose only shapes are an upright one in `slot`, and the ground at z = 0."""
    scene, _ = random_scene(Dice(0), ProceduralConfig(), load_bank("cpu"), 1)
    middle, half = scene.centre.clone(), torch.full_like(scene.half_size, 0.01)
    middle[:, :NUM_OBJECTS] = torch.tensor([0.0, 0, -1e3])
    middle[:, slot], half[:, slot] = torch.tensor(centre), torch.tensor(half_size)
    linear = torch.diag_embed(1 / half)
    affine = torch.cat([linear, -(middle / half)[..., None]], -1)
    affine[:, GROUND] = torch.eye(3, 4)
    return dataclasses.replace(
        scene,
        local_from_world=affine,
        centre=middle,
        half_size=half,
        has_room=torch.tensor([room]),
        ground_waves=torch.zeros_like(scene.ground_waves),
    )


def ray(*numbers: float) -> tuple[torch.Tensor, torch.Tensor]:
    origin, direction = torch.tensor(numbers, dtype=torch.float32).reshape(2, 1, 1, 3)
    return origin, direction


def test_a_ball_is_met_at_its_analytic_depth() -> None:
    scene = scene_with(FIRST_BALL, [5, 0, 1], [1, 1, 1])
    distance, slot = trace(scene, *ray(0, 0.6, 1, 2, 0, 0))
    torch.testing.assert_close(distance.item(), (5 - 0.8) / 2)
    assert slot.item() == FIRST_BALL


@pytest.mark.parametrize("slot", [0, FIRST_CYLINDER])
def test_flat_tops_are_met_from_above_at_their_height(slot: int) -> None:
    scene = scene_with(slot, [0, 0, 1], [0.5, 0.5, 0.25])
    distance, found = trace(scene, *ray(0.2, 0.1, 4, 0, 0, -1))
    torch.testing.assert_close(distance.item(), 2.75)
    assert found.item() == slot


def test_the_side_of_a_box_is_met_at_its_width() -> None:
    distance, _ = trace(scene_with(3, [4, 0, 1], [0.5, 2, 1]), *ray(0, 1, 0.5, 1, 0, 0))
    torch.testing.assert_close(distance.item(), 3.5)


def test_the_walls_of_a_room_are_met_from_within() -> None:
    scene = scene_with(ROOM, [0, 0, 1.5], [3, 4, 1.5], room=True)
    distance, slot = trace(scene, *ray(1, 0, 1, 0, -1, 0))
    assert (distance.item(), slot.item()) == (4.0, ROOM)
    normal = surface_at(scene, torch.tensor([[[1.0, -4, 1]]]), slot).normal
    torch.testing.assert_close(normal, torch.tensor([[[0.0, 1, 0]]]))


def test_a_ray_from_within_an_object_ends_at_once() -> None:
    distance, _ = trace(scene_with(0, [0, 0, 1], [1, 1, 1]), *ray(0, 0, 1, 1, 0, 0))
    assert distance.item() == 0


def test_a_ray_to_the_sky_meets_nothing() -> None:
    distance, _ = trace(scene_with(0, [5, 0, 1], [1, 1, 1]), *ray(0, 0, 1, 0, 1, 1))
    assert distance.item() == FAR


def random_rays(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    origin = 4 * torch.nn.functional.normalize(
        torch.randn(1, count, 3, generator=generator), dim=-1
    )
    aim = 0.5 * torch.randn(1, count, 3, generator=generator)
    return origin + torch.tensor([0.0, 0, 9]), aim - origin


def test_points_of_a_rock_lie_on_its_radius() -> None:
    scene = scene_with(FIRST_ROCK, [0, 0, 9], [1, 1, 1])
    origin, direction = random_rays(400)
    distance, slot = trace(scene, origin, direction)
    point = (origin + distance[..., None] * direction)[slot == FIRST_ROCK] - torch.tensor(
        [0.0, 0, 9]
    )
    unit = torch.nn.functional.normalize(point, dim=-1)
    lumps = scene.lumps[0, 0]
    waves = torch.sin(unit @ lumps[:, :3].T + lumps[:, 3]).mean(-1)
    radius = 1 - scene.lump_depth[0, 0] * (0.5 - 0.5 * waves)
    assert len(point) > 100
    assert (point.norm(dim=-1) - radius).abs().quantile(0.98) < 0.01


def test_points_of_a_polytope_touch_one_plane_and_cross_none() -> None:
    scene = scene_with(FIRST_POLYTOPE, [0, 0, 9], [1, 1, 1])
    origin, direction = random_rays(400)
    distance, slot = trace(scene, origin, direction)
    point = (origin + distance[..., None] * direction)[slot == FIRST_POLYTOPE]
    outermost = ((point - torch.tensor([0.0, 0, 9])) @ scene.planes[0, 0].T).amax(-1)
    torch.testing.assert_close(outermost, torch.ones_like(outermost), atol=1e-4, rtol=0)


def test_points_of_wavy_ground_lie_on_it() -> None:
    scene = scene_with(0, [0, 0, -1e3], [1, 1, 1])
    waves = torch.tensor([[[0.5, 0.2, 0.3, 0.2], [-0.3, 0.9, 1.0, 0.1], [0.8, 0.1, 2.0, 0.1]]])
    scene = dataclasses.replace(scene, ground_waves=waves)
    slope = torch.stack(
        [torch.linspace(-1, 1, 200), torch.ones(200), torch.linspace(-1, -0.1, 200)], -1
    )
    origin = torch.tensor([0.0, 0, 1.5]).expand(1, 200, 3)
    distance, slot = trace(scene, origin, slope[None])
    point = origin + distance[..., None] * slope
    residual = point[..., 2] - ground_height(waves, point[..., 0], point[..., 1])
    assert (slot == GROUND).all()
    assert residual.abs().max() < 1e-3


def test_a_box_shadows_the_ground_on_the_far_side_of_the_lamp_only() -> None:
    scene = scene_with(0, [0, 0, 1], [0.5, 0.5, 0.5])
    places = torch.tensor([[[0.0, 0, 0], [3, 0, 0]]])
    lamp = torch.tensor([0.0, 0, 5])
    blocked = shadowed(scene, places, lamp - places, torch.full((1, 2), GROUND))
    assert blocked.tolist() == [[True, False]]


@pytest.mark.parametrize("slot", [2, FIRST_CYLINDER, FIRST_BALL, FIRST_POLYTOPE, FIRST_ROCK])
def test_normals_face_the_ray_and_texture_axes_lie_in_the_surface(slot: int) -> None:
    scene = scene_with(slot, [0, 0, 9], [1, 1, 1])
    origin, direction = random_rays(200)
    distance, found = trace(scene, origin, direction)
    surface = surface_at(scene, origin + distance[..., None] * direction, found)
    here = found == slot
    assert ((surface.normal * direction).sum(-1)[here] < 0.2).all()
    torch.testing.assert_close(surface.normal.norm(dim=-1)[here], torch.ones(int(here.sum())))
    if slot in (2, FIRST_CYLINDER):
        slant = (surface.along * surface.normal[..., None, :]).sum(-1)[here]
        assert slant.abs().max() < 1e-3
