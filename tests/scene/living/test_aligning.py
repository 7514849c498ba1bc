"""A finished scene in other units, about another origin, with z pointing up."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fast3r.geometry.transforms import Similarity, rotation_exp
from fast3r.scene.living.aligning import align_scene
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.types import Distance, Spot
from fast3r.scene.reconstruction import Reconstruction, Scale, World
from tests.scene.living.test_localizing import WORLD
from tests.scene.living.world import HEIGHT, LOOKING_DOWN, WIDTH, a_photo, a_scene, camera_of
from tests.scenes import without_cameras

PHOTOS = [a_photo(number) for number in range(6)]
FLOOR_Y = 1.2


def scene_in(world: Similarity = WORLD) -> Reconstruction:
    return a_scene(PHOTOS, world)


def looking_around() -> Reconstruction:
    """Return the scene with cameras turned about the true vertical, each by 60 degrees more."""
    scene = a_scene(PHOTOS)
    cameras = []
    for index, camera in enumerate(scene.cameras):
        assert camera is not None
        pose = torch.eye(4)
        about_vertical = rotation_exp(torch.tensor([0.0, (index - 2) * torch.pi / 3, 0.0]))
        pose[:3, :3] = about_vertical @ LOOKING_DOWN
        cameras.append(replace(camera, world_from_camera=pose))
    return replace(scene, cameras=cameras).transformed(WORLD)


def centre(scene: Reconstruction, name: str) -> Tensor:
    return camera_of(scene, name).world_from_camera[:3, 3]


def true_apart(first: int, second: int) -> float:
    places = [PHOTOS[i].camera.world_from_camera[:3, 3] for i in (first, second)]
    return (places[0] - places[1]).norm().item()


def tilt_deg(scene: Reconstruction) -> float:
    """Return the angle between the z axis and the true vertical, by a camera that looks down."""
    down_in_camera = LOOKING_DOWN.T @ torch.tensor([0.0, 1.0, 0.0])
    down = camera_of(scene, "2.png").world_from_camera[:3, :3] @ down_in_camera
    return (-down[2]).clamp(-1, 1).acos().rad2deg().item()


def test_a_known_distance_between_cameras_makes_the_unit_the_metre() -> None:
    distance = Distance(true_apart(0, 5), ("0.png", "5.png"))
    metric = scene_in().aligned(distances=[distance])
    assert metric.scale == Scale("metric", "distances")
    assert (centre(metric, "1.png") - centre(metric, "4.png")).norm() == pytest.approx(
        true_apart(1, 4), rel=1e-3
    )
    torch.testing.assert_close(metric.depth[3], PHOTOS[3].depth, rtol=1e-4, atol=0)


def test_a_known_distance_between_pixels_does_too() -> None:
    pixels = torch.tensor([20 * 64 + 10, 30 * 64 + 50])
    ends = a_scene(PHOTOS).points_at(1, pixels)
    spots = [Spot("1.png", (10 * (p % 64 + 0.5), 10 * (p // 64 + 0.5))) for p in pixels.tolist()]
    distance = Distance((ends[0] - ends[1]).norm().item(), (spots[0], spots[1]))
    metric = align_scene(scene_in(), distances=[distance])
    torch.testing.assert_close(metric.depth[3], PHOTOS[3].depth, rtol=1e-3, atol=0)


def test_what_was_aligned_before_stays_aligned() -> None:
    scene = replace(scene_in(), world=World("gravity"))
    metric = align_scene(scene, distances=[Distance(true_apart(0, 5), ("0.png", "5.png"))])
    assert metric.world == World("gravity")
    before, after = (camera_of(s, "1.png").world_from_camera for s in (scene, metric))
    assert torch.equal(before[:3, :3], after[:3, :3])
    # Where the axes meet stays, too.
    torch.testing.assert_close(after[:3, 3] * 2.5, before[:3, 3], rtol=1e-3, atol=1e-3)


def test_a_new_metre_is_compared_with_the_former_one() -> None:
    checks = [
        PriorCheck("gps of 1.png", "agrees", 1.0, 3.0, "m"),
        PriorCheck("x", "agrees", 1, 2, "deg"),
    ]
    scene = replace(scene_in(), scale=Scale("metric", "gps"), prior_checks=checks)
    aligned = align_scene(scene, distances=[Distance(true_apart(0, 5), ("0.png", "5.png"))])
    former = aligned.prior_checks[1]
    assert aligned.prior_checks[0] == checks[1]
    assert (former.prior, former.status) == ("former scale", "disagrees")
    assert former.residual == pytest.approx(150, rel=1e-2)
    assert former.note == "a metre by gps was 0.4 m by the distances"
    assert aligned.prior_checks[2].prior.startswith("distance from the camera of 0.png")


def test_distances_that_cannot_be_used_are_refused() -> None:
    scene = without_cameras(scene_in(), 5)
    with pytest.raises(
        ValueError, match=r"align: the distances tell no scale: .* 5.png has no cam"
    ):
        align_scene(scene, distances=[Distance(1.0, ("0.png", "5.png"))])
    contradicting = [Distance(1.0, ("0.png", "4.png")), Distance(9.0, ("0.png", "4.png"))]
    with pytest.raises(ValueError, match="m per unit of the scene"):
        align_scene(scene, distances=contradicting)
    with pytest.raises(ValueError, match=r"no view is named 'x.png'"):
        align_scene(scene, distances=[Distance(1.0, ("0.png", "x.png"))])


def test_upright_photos_tell_the_vertical_where_they_look_around() -> None:
    upright = align_scene(looking_around(), up="upright")
    assert upright.world == World("gravity")
    assert upright.scale == Scale("arbitrary", "a similarity transform")
    assert tilt_deg(upright) < 0.1


def test_photos_that_all_look_one_way_count_as_level() -> None:
    # All of them look down by a fifth of a radian.
    assert 8 < tilt_deg(align_scene(scene_in(), up="upright")) < 12


def test_the_floor_is_level_and_at_zero() -> None:
    level = align_scene(scene_in(), up="ground")
    assert level.world == World("gravity")
    assert tilt_deg(level) < 0.1
    height = -(PHOTOS[0].camera.world_from_camera[1, 3] - FLOOR_Y) * 2.5
    assert centre(level, "0.png")[2] == pytest.approx(height.item(), abs=0.01)
    centres = torch.stack([centre(level, view.name) for view in level.views])
    torch.testing.assert_close(centres.mean(dim=0)[:2], torch.zeros(2), rtol=0, atol=0.02)
    (check,) = level.prior_checks
    assert check.prior == "ground"
    assert check.note.endswith("of the points lie on it")


def test_the_ground_is_found_under_noise_and_flying_points() -> None:
    scene = scene_in()
    random = torch.Generator().manual_seed(0)
    depth = []
    for clean in scene.depth:
        noisy = clean * (1 + 0.01 * torch.randn(clean.shape, generator=random))
        wild = torch.rand(clean.shape, generator=random) < 0.1
        depth.append(noisy.where(~wild, 3 * clean * torch.rand(clean.shape, generator=random)))
    assert tilt_deg(align_scene(replace(scene, depth=depth), up="ground")) < 1.0


def test_a_scene_without_a_floor_has_no_ground() -> None:
    everything = torch.arange(HEIGHT * WIDTH)
    scene = a_scene(PHOTOS)
    depth = [
        d.where(scene.points_at(i, everything)[:, 1].view(d.shape) < FLOOR_Y - 1e-3, 0)
        for i, d in enumerate(scene.depth)
    ]
    with pytest.raises(
        ValueError, match="there is no ground: no plane below the cameras holds 10%"
    ):
        align_scene(replace(scene, depth=depth), up="ground")


def test_the_origin_moves_to_a_camera_or_amid_all() -> None:
    at_view = align_scene(scene_in(), origin="3")
    torch.testing.assert_close(centre(at_view, "3.png"), torch.zeros(3), rtol=0, atol=1e-6)
    amid = align_scene(scene_in(), origin="cameras")
    centres = torch.stack([centre(amid, view.name) for view in amid.views])
    torch.testing.assert_close(centres.mean(dim=0), torch.zeros(3), rtol=0, atol=1e-5)


def test_a_place_on_the_earth_goes_with_the_origin() -> None:
    scene = replace(
        scene_in(), world=World("east north up", (47.0, 8.0, 0.0)), scale=Scale("metric", "gps")
    )
    moved = align_scene(scene, origin=0)
    assert moved.world == World("east north up")
    assert moved.scale == scene.scale


def test_all_can_be_asked_for_at_once() -> None:
    distance = Distance(true_apart(0, 5), ("0.png", "5.png"))
    aligned = align_scene(scene_in(), up="ground", distances=[distance], origin="0.png")
    assert tilt_deg(aligned) < 0.1
    assert aligned.scale.kind == "metric"
    torch.testing.assert_close(centre(aligned, "0.png"), torch.zeros(3), rtol=0, atol=1e-6)
    rise = aligned.points_at(0, torch.tensor([64 * 47 + 32]))[0, 2]
    height = FLOOR_Y - PHOTOS[0].camera.world_from_camera[1, 3]
    assert rise == pytest.approx(-height.item(), abs=0.01)


def test_wrong_wishes_are_refused() -> None:
    scene = without_cameras(scene_in(), 1)
    with pytest.raises(ValueError, match="align: say what to align: up, distances or origin"):
        align_scene(scene)
    with pytest.raises(ValueError, match="origin: no view is named 'x'"):
        align_scene(scene, origin="x")
    with pytest.raises(ValueError, match=r"origin: 1.png has no camera \(too few sure points\)"):
        align_scene(scene, origin=1)


def test_a_turn_of_any_size_is_found() -> None:
    for seed in range(4):
        random = torch.Generator().manual_seed(seed)
        turn = rotation_exp(2 * torch.randn(3, generator=random, dtype=torch.float64))
        world = Similarity(torch.tensor(0.3).double(), turn, torch.ones(3).double())
        assert tilt_deg(align_scene(scene_in(world), up="ground")) < 0.1
