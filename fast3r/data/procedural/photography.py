"""From linear light to a photograph: tone curve, and what each camera adds of its own."""

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.data.procedural.dice import Dice

_GREY = (0.299, 0.587, 0.114)


def develop(
    linear: Float[Tensor, "batch views 3 height width"], exposure: Float[Tensor, " batch"]
) -> Float[Tensor, "batch views 3 height width"]:
    """Return display colours in [0, 1], all photos of a scene exposed alike."""
    brightness = linear.clamp(max=2).mean((1, 2, 3, 4)).clamp(min=1e-4)
    exposed = linear * (exposure / brightness)[:, None, None, None, None]
    # A soft shoulder, as film has, keeps highlights from clipping.
    return (1 - torch.exp(-1.25 * exposed)).clamp(1e-6, 1) ** (1 / 2.2)


def draw_effects(dice: Dice, batch: int, views: int) -> Float[Tensor, "batch views 9"]:
    """Return the numbers that `apply_effects` takes, most of them small."""
    common = dice.normal(batch, 1, 9)
    own = dice.normal(batch, views, 9) * dice.uniform(0, 1, batch, 1, 1)
    scale = torch.tensor([0.12, 0.05, 0.05, 0.05, 0.12, 0.15, 0.35, 0.008, 0.15])
    return (0.5 * common + own) * scale


def apply_effects(
    images: Float[Tensor, "batch views 3 height width"],
    effects: Float[Tensor, "batch views 9"],
    noise: Float[Tensor, "batch views 3 height width"],
) -> Float[Tensor, "batch views 3 height width"]:
    """Return images with their own exposure, white balance, contrast, saturation, blur, noise."""
    numbers = effects[..., None, None, None]
    exposure, contrast, saturation, blur, grain, vignette = numbers[
        :, :, [0, 4, 5, 6, 7, 8]
    ].unbind(2)
    white = effects[:, :, 1:4, None, None]
    images = _blur(images, blur.abs().clamp(max=1))
    images = images * (exposure + white).exp()
    grey = (images * images.new_tensor(_GREY)[:, None, None]).sum(2, keepdim=True)
    images = torch.lerp(grey, images, saturation.exp())
    images = (images - 0.45) * contrast.exp() + 0.45
    images = images * (1 - vignette.abs() * _squared_radius(images))
    return (images + grain * noise).clamp(0, 1)


def _blur(images: Tensor, amount: Tensor) -> Tensor:
    """Return images blended with a [1 2 1] blur along both sides."""
    padded = torch.nn.functional.pad(images.flatten(0, 2)[:, None], (1, 1, 1, 1), mode="replicate")
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    soft = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16
    return torch.lerp(images, soft.reshape(images.shape), amount)


def _squared_radius(images: Tensor) -> Tensor:
    """Return squared distance from the middle, 1 in the corners."""
    height, width = images.shape[-2:]
    y = torch.linspace(-1, 1, height, device=images.device)[:, None]
    x = torch.linspace(-1, 1, width, device=images.device)
    return (x * x + y * y) / 2
