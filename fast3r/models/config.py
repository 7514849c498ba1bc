"""Shapes of the Fast3R family: the defaults are the published ViT-L model."""

from dataclasses import dataclass, field
from typing import Any, Literal

_GIANT = 1e9
"""No number of a network is as large."""


def _check_numbers(config: Any) -> None:
    """Refuse numbers that no network has, alone or in a tuple."""
    for name, value in vars(config).items():
        for number in value if isinstance(value, tuple) else (value,):
            if type(number) in (int, float) and not 0 < number < _GIANT:
                raise ValueError(f"{name} must be positive, got {value!r} (at most {_GIANT:g})")


def _check_heads(part: str, width: int, heads: int) -> None:
    if width % (4 * heads):
        raise ValueError(
            f"{part} width must be a multiple of 4 times its heads, got {width} and {heads}"
        )


@dataclass(frozen=True)
class EncoderConfig:
    """The ViT that sees each view alone."""

    width: int = 1024
    """Channels of a token."""

    depth: int = 24
    """Number of transformer blocks."""

    heads: int = 16
    """Attention heads; `width / heads` must be a multiple of 4 for the rotary positions."""

    patch: int = 16
    """Side of the square that becomes one token, in network pixels."""

    mlp_ratio: float = 4.0
    """Hidden width of the MLP over `width`."""

    rope_base: float = 100.0
    """Base of the rotary position frequencies."""

    absolute_position: bool = False
    """Add the patch's place in the image to its token (off in the published weights)."""

    def __post_init__(self) -> None:
        _check_numbers(self)
        _check_heads("encoder", self.width, self.heads)


@dataclass(frozen=True)
class FusionConfig:
    """The transformer that attends over the tokens of all views."""

    width: int = 1024
    """Channels of a token."""

    depth: int = 24
    """Number of transformer blocks; at least 4, so that the heads read four different levels."""

    heads: int = 16
    """Attention heads."""

    mlp_ratio: float = 4.0
    """Hidden width of the MLP over `width`."""

    qkv_bias: bool = True
    """Whether queries, keys and values have a bias."""

    view_ids: Literal["random", "sequential"] = "random"
    """How rows of the view-index table are given to views that come without ids."""

    temperature_views: int | None = None
    """Sharpen the logits as for this many views, against 20 in training; None leaves them."""

    alternate: bool = False
    """Every second block sees one view at a time (off in the published weights)."""

    absolute_position: bool = False
    """Add the patch's place in the image to its token (off in the published weights)."""

    def __post_init__(self) -> None:
        _check_numbers(self)
        _check_heads("fusion", self.width, self.heads)
        if self.depth < 4:
            raise ValueError(f"fusion depth must be at least 4, got {self.depth}")


@dataclass(frozen=True)
class HeadConfig:
    """The dense prediction heads."""

    features: int = 256
    """Channels of the refinement path."""

    last_features: int = 128
    """Channels before the output."""

    level_widths: tuple[int, int, int, int] = (96, 192, 384, 768)
    """Channels of the four token levels after their first projection, finest first."""

    local: bool = True
    """Whether there is a second head for the view's own frame."""

    matches: bool = False
    """Whether there is a third head that tells which patches of two views see the same point (off
    in the published weights)."""

    def __post_init__(self) -> None:
        _check_numbers(self)


@dataclass(frozen=True)
class Fast3RConfig:
    """One model of the family."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """Per-view part."""

    fusion: FusionConfig = field(default_factory=FusionConfig)
    """All-view part."""

    head: HeadConfig = field(default_factory=HeadConfig)
    """Dense prediction."""

    image_size: int = 512
    """Long side of the images that the model was trained on, in pixels; any other runs too."""

    def __post_init__(self) -> None:
        _check_numbers(self)


SMALL = Fast3RConfig(
    encoder=EncoderConfig(width=192, depth=4, heads=3, patch=8, absolute_position=True),
    fusion=FusionConfig(width=192, depth=8, heads=3, alternate=True, absolute_position=True),
    head=HeadConfig(features=32, last_features=32, level_widths=(32, 32, 48, 64), matches=True),
    image_size=224,
)
"""The bundled model, small enough to train from scratch and to run on a laptop."""
