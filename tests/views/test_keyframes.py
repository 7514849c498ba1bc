import numpy as np
import pytest
from PIL import Image, ImageFilter

from fast3r.views.keyframes import (
    Stretches,
    check_sampling,
    is_same,
    plan_stretches,
    sharpness,
)

from .pictures import noise

GREY = np.asarray(noise(90, 160).convert("L"))


@pytest.mark.parametrize(
    ("duration_s", "fps", "num_frames", "expected"),
    [
        (10.0, 2.0, None, Stretches(20, 0.5)),
        (10.2, 1.0, None, Stretches(11, 1.0)),
        (10.001, 1.0, None, Stretches(10, 1.0)),
        (0.1, 1.0, None, Stretches(1, 1.0)),
        (10.0, None, 4, Stretches(4, 2.5)),
        (10.0, None, None, Stretches(20, 0.5)),
        (200.0, None, None, Stretches(100, 2.0)),
        (0.2, None, None, Stretches(2, 0.1)),
    ],
)
def test_stretches_follow_the_rate_or_the_number_or_the_default(
    duration_s: float, fps: float | None, num_frames: int | None, expected: Stretches
) -> None:
    assert plan_stretches(duration_s, fps, num_frames) == expected


def test_every_time_falls_in_one_stretch() -> None:
    stretches = Stretches(3, 2.0)
    times = [0, 1.999, 2, 3.9999999, 4, 5.9, 6, 7]
    assert [stretches.index_at(time) for time in times] == [0, 0, 1, 2, 2, 2, 2, 2]


def test_the_middle_of_a_stretch_counts_twice_its_ends() -> None:
    stretches = Stretches(3, 2.0)
    assert stretches.centrality(3.0) == 1
    assert stretches.centrality(2.0) == 0.5
    assert stretches.centrality(3.5) == 0.75


def test_the_emptiest_stretch_counts() -> None:
    assert Stretches(3, 1.0).min_per_stretch([0.1, 0.2, 1.5, 2.1, 2.2]) == 1
    assert Stretches(3, 1.0).min_per_stretch([0.1, 2.2]) == 0


def test_the_more_blur_the_less_sharpness() -> None:
    blurred = [Image.fromarray(GREY).filter(ImageFilter.GaussianBlur(r)) for r in (0, 1, 2, 4)]
    found = [sharpness(np.asarray(image)) for image in blurred]
    assert found == sorted(found, reverse=True)
    assert found[0] > 10 * found[1]


def test_an_even_image_has_no_sharpness() -> None:
    assert sharpness(np.full((50, 60), 200, np.uint8)) == 0


def test_the_laplacian_of_a_lone_dot_is_known() -> None:
    dot = np.zeros((12, 12), np.uint8)
    dot[6, 6] = 10
    # 100 values: one of 40, four of -10; their mean is 0.
    assert sharpness(dot) == pytest.approx((40**2 + 4 * 10**2) / 100)


def test_noise_and_flicker_leave_a_thumbnail_the_same() -> None:
    flicker = np.random.default_rng(0).integers(-1, 2, GREY.shape)
    assert is_same(GREY, np.clip(GREY.astype(int) + flicker, 0, 255).astype(np.uint8))


def test_a_small_thing_that_moves_makes_a_difference() -> None:
    moved = GREY.copy()
    moved[40:50, 60:90] = 255 - moved[40:50, 60:90]
    assert not is_same(GREY, moved)
    assert not is_same(GREY, GREY[:, :-1])


@pytest.mark.parametrize(
    ("fps", "num_frames", "message"),
    [
        (1.0, 5, "fps or num_frames, not both; got 1.0 and 5"),
        (0.0, None, "fps must be positive, got 0.0"),
        (float("nan"), None, "fps must be positive, got nan"),
        (None, 0, "num_frames must be at least 1, got 0"),
    ],
)
def test_wrong_sampling_is_refused(fps: float | None, num_frames: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_sampling(fps, num_frames)
