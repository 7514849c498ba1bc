import colorsys

import numpy as np
import pytest
import torch

from fast3r.data.colour import jitter_colours
from fast3r.data.config import ColourJitter

NONE = ColourJitter(0, 0, 0, 0)


def _dice(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class _Extreme(np.random.Generator):
    """Dice that always show the end of the range."""

    def __init__(self, end: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.end = end

    def uniform(self, low: float, high: float) -> float:
        return (low, high)[self.end]


def _images(views: int = 2, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return low + (high - low) * torch.rand(views, 3, 6, 8, generator=generator)


def _luma(images: torch.Tensor) -> torch.Tensor:
    return torch.einsum("j,vjhw->vhw", torch.tensor([0.299, 0.587, 0.114]), images)


def test_without_jitter_colours_stay() -> None:
    images = _images()
    torch.testing.assert_close(jitter_colours(images, NONE, _dice()), images, atol=1e-6, rtol=0)


def test_colours_stay_in_range() -> None:
    jittered = jitter_colours(_images(8), ColourJitter(), _dice())
    assert jittered.min() >= 0
    assert jittered.max() <= 1


def test_brightness_scales_each_photo_by_its_own_factor_in_range() -> None:
    images = _images(50, low=0.2, high=0.6)
    ratio = jitter_colours(images, ColourJitter(0.5, 0, 0, 0), _dice()) / images
    factors = ratio.flatten(1)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert 0.5 <= factors.min() < 0.6
    assert 1.4 < factors.max() <= 1.5


def test_contrast_keeps_the_mean_grey() -> None:
    images = _images(low=0.4, high=0.6)
    jittered = jitter_colours(images, ColourJitter(0, 0.5, 0, 0), _dice())
    assert (jittered - images).abs().max() > 0.01
    torch.testing.assert_close(_luma(jittered).mean((1, 2)), _luma(images).mean((1, 2)))


@pytest.mark.parametrize("jitter", [ColourJitter(0, 0, 0.5, 0), ColourJitter(0, 0, 0, 0.1)])
def test_saturation_and_hue_keep_the_grey_of_each_pixel(jitter: ColourJitter) -> None:
    images = _images(low=0.4, high=0.6)
    jittered = jitter_colours(images, jitter, _dice())
    assert (jittered - images).abs().max() > 0.01
    torch.testing.assert_close(_luma(jittered), _luma(images))


def test_without_saturation_all_is_grey() -> None:
    jittered = jitter_colours(_images(), ColourJitter(0, 0, 1.0, 0), _Extreme(0))
    torch.testing.assert_close(jittered[:, 0], jittered[:, 2])


def test_hue_turns_by_about_the_share_of_the_colour_circle() -> None:
    red = torch.tensor([0.6, 0.4, 0.4]).reshape(1, 3, 1, 1)
    turned = jitter_colours(red, ColourJitter(0, 0, 0, 1 / 3), _Extreme(1))
    hue = colorsys.rgb_to_hsv(*turned.flatten().tolist())[0]
    assert min(abs(hue - 1 / 3), abs(hue - 2 / 3)) < 0.08


def test_equal_dice_give_equal_colours() -> None:
    images = _images()
    first, again, other = (jitter_colours(images, ColourJitter(), _dice(s)) for s in (1, 1, 2))
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    assert not torch.equal(first, other)
