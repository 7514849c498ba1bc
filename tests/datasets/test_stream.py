import logging
import pickle
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from fast3r.data.config import ColourJitter, PhotoConfig, Shape
from fast3r.data.mixture import Member, Mixture
from fast3r.data.sample import Sample
from fast3r.data.steps import StepLoader
from fast3r.data.stream import SampleStream
from fast3r.geometry.cameras import invert_rigid, pixel_grid, project
from tests.datasets.toy import ToyScenes

PLAIN = PhotoConfig(
    shapes=(Shape(32, 48), Shape(32, 32)),
    min_views=2,
    max_views=4,
    scenes_per_step=2,
    jitter=ColourJitter(0, 0, 0, 0),
)


def _stream(*datasets: ToyScenes, config: PhotoConfig = PLAIN, rank: int = 0, seed: int = 3):
    members = tuple(Member(dataset) for dataset in datasets or (ToyScenes(),))
    return SampleStream(config, Mixture(members), seed=seed, patch=16, rank=rank)


def _frames(sample: Sample) -> list[list[tuple[int, int, int]]]:
    """Return dataset, scene and frame of each view, told by its colour."""
    colours = (sample.images[..., 16, 16] * 255).round().int()
    return [[tuple(view) for view in scene] for scene in colours.tolist()]


def _equal(first: Sample, second: Sample) -> bool:
    return all(
        torch.equal(getattr(first, field.name), getattr(second, field.name))
        for field in fields(Sample)
    )


def _all_equal(first: Sequence[Sample], second: Sequence[Sample]) -> bool:
    return len(first) == len(second) and all(map(_equal, first, second))


def test_a_step_has_the_same_sample_whatever_was_asked_before() -> None:
    stream = _stream()
    in_order = [stream[step] for step in range(6)]
    assert _all_equal([_stream()[step] for step in (5, 0, 3)], [in_order[s] for s in (5, 0, 3)])


def test_a_resumed_run_sees_what_an_uninterrupted_one_does() -> None:
    whole = list(StepLoader(_stream(), 0, 8))
    parts = [*StepLoader(_stream(), 0, 3), *StepLoader(_stream(), 3, 8, workers=2)]
    assert _all_equal(whole, parts)


def test_a_pickled_stream_gives_the_same_samples() -> None:
    stream = _stream()
    assert _equal(pickle.loads(pickle.dumps(stream))[4], stream[4])


def test_steps_seeds_and_devices_have_different_samples() -> None:
    config = replace(PLAIN, jitter=ColourJitter())
    samples = [
        _stream(config=config)[0],
        _stream(config=config)[1],
        _stream(config=config, seed=4)[0],
        _stream(config=config, rank=1)[0],
    ]
    means = {round(sample.images.mean().item(), 5) for sample in samples}
    assert len(means) == len(samples)


def test_devices_agree_on_shape_and_number_of_views() -> None:
    sizes = [[_stream(rank=rank)[step].images.shape for step in range(12)] for rank in range(2)]
    assert sizes[0] == sizes[1]
    assert {size[1] for size in sizes[0]} == {2, 3, 4}
    assert {size[3:] for size in sizes[0]} == {(32, 48), (32, 32)}


def test_no_scene_is_frozen_to_one_choice_of_frames() -> None:
    config = replace(PLAIN, scenes_per_step=1, min_views=3, max_views=3)
    stream = _stream(ToyScenes(scenes=("only",)), config=config)
    assert len({tuple(_frames(stream[step])[0]) for step in range(30)}) > 20


def test_every_frame_is_drawn_sooner_or_later() -> None:
    stream = _stream()
    seen = {view[1:] for step in range(60) for scene in _frames(stream[step]) for view in scene}
    assert len(seen) == 3 * 12


def test_scenes_come_from_datasets_by_their_weights() -> None:
    members = (Member(ToyScenes(0), weight=3), Member(ToyScenes(1), weight=1))
    stream = SampleStream(PLAIN, Mixture(members), seed=0, patch=16)
    origins = [scene[0][0] for step in range(200) for scene in _frames(stream[step])]
    assert np.mean(origins) == pytest.approx(0.25, abs=0.05)


def test_the_views_of_a_scene_are_of_one_scene() -> None:
    stream = _stream(ToyScenes(0), ToyScenes(1))
    for step in range(10):
        for scene in _frames(stream[step]):
            assert len({view[:2] for view in scene}) == 1
            assert len(set(scene)) == len(scene)


def test_points_land_on_their_pixels_at_their_depth() -> None:
    sample = _stream()[0]
    pixels, depth = project(
        sample.points.flatten(2, 3), sample.intrinsics, invert_rigid(sample.world_from_camera)
    )
    grid = pixel_grid(*sample.points.shape[2:4]).flatten(0, 1).expand_as(pixels)
    torch.testing.assert_close(pixels, grid, atol=1e-4, rtol=0)
    torch.testing.assert_close(depth, torch.full_like(depth, 2))
    assert sample.valid.all()


def test_the_world_begins_at_the_first_camera_without_losing_digits() -> None:
    far = _stream(ToyScenes(origin=4e6))[0]
    near = _stream(ToyScenes(origin=0.0))[0]
    assert not far.world_from_camera[:, 0, :3, 3].any()
    torch.testing.assert_close(far.points, near.points, atol=1e-5, rtol=0)


def test_portrait_photos_make_portrait_views() -> None:
    stream = _stream(ToyScenes(sizes=((64, 48),)), config=replace(PLAIN, shapes=(Shape(32, 48),)))
    assert stream[0].images.shape[3:] == (48, 32)


def test_all_scenes_of_a_step_lie_as_the_first_one_does_and_keep_their_shares() -> None:
    config = replace(PLAIN, shapes=(Shape(32, 48),), scenes_per_step=4)
    stream = _stream(ToyScenes(sizes=((48, 64), (48, 64), (64, 48))), config=config)
    portraits = []
    for step in range(100):
        upright = stream[step].images.shape[3] == 48
        scenes = [scene[0][1] for scene in _frames(stream[step])]
        assert [scene == 2 for scene in scenes] == [upright] * 4
        portraits.append(upright)
    assert np.mean(portraits) == pytest.approx(1 / 3, abs=0.12)


def test_a_budget_of_tokens_decides_the_number_of_scenes() -> None:
    config = replace(PLAIN, scenes_per_step=None, tokens_per_step=60)
    for step in range(10):
        batch, views, _, height, width = _stream(config=config)[step].images.shape
        each = views * height * width // 16**2
        assert batch * each <= 60 < (batch + 1) * each


def test_colours_are_jittered_view_by_view() -> None:
    config = replace(PLAIN, jitter=ColourJitter())
    bright = ToyScenes(200, scenes=("a",), frames_each=1)
    views = _stream(bright, config=config)[0].images[0, :, :, 0, 0]
    assert (views[0] - views[1]).abs().max() > 0.01


def test_extra_pixels_vary_the_field_of_view() -> None:
    mixture = Mixture((Member(ToyScenes(), extra_px=32),))
    stream = SampleStream(replace(PLAIN, shapes=(Shape(32, 48),)), mixture, seed=0, patch=16)
    focals = torch.cat([stream[step].intrinsics[..., 0, 0].flatten() for step in range(10)])
    assert focals.min() < 41
    assert 60 < focals.max() <= 50 * 64 / 48 + 1e-3


def test_broken_frames_are_replaced_in_the_same_way_every_time() -> None:
    broken = frozenset(("a", f"a{i}") for i in range(12))
    stream = _stream(ToyScenes(broken=broken))
    samples = [stream[step] for step in range(20)]
    assert {scene[0][1] for sample in samples for scene in _frames(sample)} == {1, 2}
    assert _all_equal(samples, [_stream(ToyScenes(broken=broken))[step] for step in range(20)])


def test_each_broken_file_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    stream = _stream(ToyScenes(broken=frozenset({("a", "a5")})))
    with caplog.at_level(logging.WARNING):
        for step in range(60):
            stream[step]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["left out, number 1 so far: toy, scene a: a5.png: torn; expected whole"]


def test_a_stream_gives_up_when_all_is_broken_and_says_why() -> None:
    broken = frozenset((scene, f"{scene}{i}") for scene in "abc" for i in range(12))
    with pytest.raises(ValueError, match=r"(?s)no usable scene in 40 draws.*data check.*torn"):
        _stream(ToyScenes(broken=broken))[0]


def test_photos_without_any_depth_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no pixel of them has a depth"):
        _stream(ToyScenes(with_depth=False))[0]


def test_a_shape_that_the_patch_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of the patch \(16 px\), got 50x32"):
        _stream(config=replace(PLAIN, shapes=(Shape(32, 50),)))


def test_a_budget_too_small_for_one_scene_is_refused() -> None:
    config = replace(PLAIN, scenes_per_step=None, tokens_per_step=20)
    with pytest.raises(ValueError, match=r"is 20, but one scene of 4 views of 48x32 px has 24"):
        _stream(config=config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_views": 5}, "at most max_views; got 5 and 4"),
        ({"scenes_per_step": None}, "give either scenes_per_step or tokens_per_step"),
        ({"tokens_per_step": 100}, "got 2 and 100"),
        ({"scenes_per_step": 0}, "at least 1, got 0"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **change)
