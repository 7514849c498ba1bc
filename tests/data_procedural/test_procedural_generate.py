import dataclasses

import pytest
import torch

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.generate import generate
from fast3r.data.sample import Sample

PLAIN = ProceduralConfig(augment=False)
HEIGHT, WIDTH = 24, 32


def make(config: ProceduralConfig = PLAIN, **changes) -> Sample:
    options = {"batch": 3, "views": 4, "height": HEIGHT, "width": WIDTH, "seed": 0} | changes
    return generate(config, **options)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make(batch=12)


def in_cameras(sample: Sample, points: torch.Tensor) -> torch.Tensor:
    """Return points (batch, views, n, 3) of the world in the frame of every view."""
    rotation = sample.world_from_camera[:, :, None, :3, :3]
    shift = points - sample.world_from_camera[:, :, None, :3, 3]
    return (rotation * shift[..., None]).sum(-2)


def project(sample: Sample, camera: torch.Tensor) -> torch.Tensor:
    homogeneous = (sample.intrinsics[:, :, None] * camera[..., None, :]).sum(-1)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def pixel_centres() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    return torch.stack([x, y], -1).flatten(0, 1)


def test_points_project_to_the_centres_of_their_pixels(sample: Sample) -> None:
    pixels = project(sample, in_cameras(sample, sample.points.flatten(2, 3)))
    error = (pixels - pixel_centres()).norm(dim=-1)[sample.valid.flatten(2)]
    assert error.max() < 1e-3


def test_valid_points_lie_before_the_camera_and_in_range(sample: Sample) -> None:
    depth = in_cameras(sample, sample.points.flatten(2, 3))[..., 2][sample.valid.flatten(2)]
    assert depth.min() > PLAIN.near_m
    assert depth.max() < PLAIN.far_m + 1e-3


def test_poses_are_rigid(sample: Sample) -> None:
    rotation = sample.world_from_camera[..., :3, :3]
    identity = torch.eye(3).expand_as(rotation)
    torch.testing.assert_close(rotation @ rotation.mT, identity, atol=1e-5, rtol=0)
    assert (torch.linalg.det(rotation) > 0.99).all()


def test_everything_is_finite_and_colours_are_in_range(sample: Sample) -> None:
    assert sample.points.isfinite().all()
    assert sample.images.min() >= 0
    assert sample.images.max() <= 1


def test_scenes_have_mostly_valid_pixels_and_middling_brightness(sample: Sample) -> None:
    assert sample.valid.float().mean() > 0.7
    brightness = sample.images.mean((1, 2, 3, 4))
    assert brightness.min() > 0.2
    assert brightness.max() < 0.75


def test_the_same_seed_gives_the_same_sample() -> None:
    config = ProceduralConfig()
    for one, other in zip(vars(make(config)).values(), vars(make(config)).values(), strict=True):
        assert torch.equal(one, other)


def test_another_seed_gives_another_sample() -> None:
    assert (make(seed=1).images - make(seed=2).images).abs().mean() > 0.05


def test_chunk_size_does_not_change_the_result() -> None:
    whole = make()
    chunked = make(dataclasses.replace(PLAIN, rays_per_chunk=700))
    torch.testing.assert_close(whole.points, chunked.points)
    torch.testing.assert_close(whole.images, chunked.images, atol=1e-4, rtol=0)


def test_supersampling_leaves_points_and_mean_colours_alone() -> None:
    one, four = make(), make(dataclasses.replace(PLAIN, supersample=2))
    assert torch.equal(one.points, four.points)
    assert (one.images - four.images).abs().mean() < 0.05


def test_effects_change_colours_only() -> None:
    plain, photographed = make(), make(ProceduralConfig())
    assert torch.equal(plain.points, photographed.points)
    assert 0.005 < (plain.images - photographed.images).abs().mean() < 0.3


def view_zero_in_others(sample: Sample) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return colours of view 0, colours found at the same points in all views, and where shared."""
    batch, views = sample.valid.shape[:2]
    world = sample.points[:, :1].flatten(2, 3).expand(-1, views, -1, -1)
    camera = in_cameras(sample, world)
    pixels = project(sample, camera)
    size = torch.tensor([WIDTH, HEIGHT])
    framed = ((pixels > 0) & (pixels < size)).all(-1) & (camera[..., 2] > 0.1)
    column, row = pixels.nan_to_num().long().unbind(-1)
    index = (row.clamp(0, HEIGHT - 1) * WIDTH + column.clamp(0, WIDTH - 1))[..., None]
    there = sample.points.flatten(2, 3).gather(2, index.expand(-1, -1, -1, 3))
    # Within about a pixel's width: the surface is the same, not one before or behind.
    near = (there - world).norm(dim=-1) < 0.06 * camera[..., 2]
    shared = framed & near & sample.valid[:, :1].flatten(2)
    colours = sample.images.flatten(3).transpose(2, 3)
    found = colours.gather(2, index.expand(-1, -1, -1, 3))
    return colours[:, :1].expand_as(found), found, shared.reshape(batch, views, -1)


def test_views_see_much_of_what_the_first_view_sees(sample: Sample) -> None:
    shared = view_zero_in_others(sample)[2][:, 1:].float().mean(-1)
    assert shared.mean() > 0.35


def test_views_are_closer_to_each_other_when_difficulty_is_low(sample: Sample) -> None:
    easy = make(batch=12, difficulty=0.0)
    overlap = [view_zero_in_others(s)[2][:, 1:].float().mean() for s in (easy, sample)]
    assert overlap[0] > overlap[1] + 0.1


def test_a_point_has_the_same_colour_in_all_views() -> None:
    matte = ProceduralConfig(augment=False, gloss_share=0, supersample=2)
    here, there, shared = view_zero_in_others(make(matte, batch=8, difficulty=0.3))
    difference = (here - there).abs().mean(-1)[:, 1:]
    matched = difference[shared[:, 1:]]
    shuffled = (here - there.roll(137, 2)).abs().mean(-1)[:, 1:][shared[:, 1:]]
    assert matched.median() < 0.04
    assert matched.mean() < 0.45 * shuffled.mean()


def test_difficulty_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"difficulty must be within \[0, 1\], got 2"):
        make(difficulty=2.0)


def test_shares_beyond_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"add up to at most 1, got 0.8 and 0.5"):
        ProceduralConfig(indoor_share=0.8, outdoor_share=0.5)


def test_zero_rays_per_pixel_are_refused() -> None:
    with pytest.raises(ValueError, match="supersample and candidates must be at least 1, got 0"):
        ProceduralConfig(supersample=0)
