from dataclasses import fields

import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from fast3r.data.sample import Sample, frame_points, mirror
from fast3r.geometry.cameras import invert_rigid, pixel_grid, project, unproject
from fast3r.geometry.transforms import rotation_exp

BATCH, VIEWS, HEIGHT, WIDTH = 2, 3, 5, 7


def _sample(seed: int = 0) -> Sample:
    """Cameras at random with every pixel's point on its ray."""
    dice = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.rand(BATCH, VIEWS, *shape, generator=dice)

    intrinsics = torch.zeros(BATCH, VIEWS, 3, 3)
    intrinsics[..., 0, 0] = 6 + noise()
    intrinsics[..., 1, 1] = 6 + noise()
    intrinsics[..., :2, 2] = torch.tensor([WIDTH / 2, HEIGHT / 2]) + noise(2)
    intrinsics[..., 2, 2] = 1
    poses = torch.eye(4).repeat(BATCH, VIEWS, 1, 1)
    poses[..., :3, :3] = rotation_exp(noise(3) - 0.5)
    poses[..., :3, 3] = noise(3)
    return Sample(
        images=noise(3, HEIGHT, WIDTH),
        points=unproject(1 + noise(HEIGHT, WIDTH), intrinsics, poses),
        valid=noise(HEIGHT, WIDTH) > 0.3,
        intrinsics=intrinsics,
        world_from_camera=poses,
    )


def _parts(sample: Sample) -> dict[str, torch.Tensor]:
    return {field.name: getattr(sample, field.name) for field in fields(sample)}


def test_points_of_the_mirror_image_land_on_their_own_pixels() -> None:
    mirrored = mirror(_sample())
    camera_from_world = invert_rigid(mirrored.world_from_camera)
    points = mirrored.points.flatten(2, 3)
    pixels, depth = project(points, mirrored.intrinsics, camera_from_world)
    expected = pixel_grid(HEIGHT, WIDTH).flatten(0, 1).expand_as(pixels)
    torch.testing.assert_close(pixels, expected, atol=1e-4, rtol=0)
    assert (depth > 0).all()


def test_cameras_of_the_mirror_image_are_right_handed_and_rigid() -> None:
    rotation = mirror(_sample()).world_from_camera[..., :3, :3]
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(BATCH, VIEWS))
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand_as(rotation))


def test_a_mirror_in_a_mirror_shows_the_original() -> None:
    sample = _sample()
    for name, part in _parts(mirror(mirror(sample))).items():
        torch.testing.assert_close(part, getattr(sample, name))


def test_a_mirror_image_has_the_last_view_first_with_left_and_right_swapped() -> None:
    sample, mirrored = _sample(), mirror(_sample())
    torch.testing.assert_close(mirrored.images[:, 0], sample.images[:, -1].flip(-1))
    assert torch.equal(mirrored.valid[:, 0], sample.valid[:, -1].flip(-1))


def test_depths_are_those_of_the_mirrored_pixels() -> None:
    sample, mirrored = _sample(), mirror(_sample())
    depth = frame_points(sample.points, sample.world_from_camera)[..., 2]
    mirrored_depth = frame_points(mirrored.points, mirrored.world_from_camera)[..., 2]
    torch.testing.assert_close(mirrored_depth, depth.flip(1, -1))


def test_a_sample_moves_to_a_device_whole() -> None:
    moved = _sample().to("meta")
    assert all(part.device.type == "meta" for part in _parts(moved).values())


def test_a_loader_pins_every_part_of_the_samples_in_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[int] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda part: pinned.append(id(part)) or part)
    sample = _sample()
    (same,) = pin_memory([sample])
    assert pinned == [id(part) for part in _parts(sample).values()]
    assert isinstance(same, Sample)
