"""What the colour of a point tells: its photo, how sure it is, who saw it, or how high it lies."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fast3r.export.framing import Framing
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.colormaps import magma, middle_range, spectrum

ColorBy = Literal["photo", "confidence", "view", "height"]
"""What the colour of a point tells."""

COLOR_BY: tuple[ColorBy, ...] = get_args(ColorBy)


@dataclass(frozen=True)
class Legend:
    """What a row of colours means."""

    low: str
    """The colour at its left."""

    high: str
    """The colour at its right."""

    colors: UInt8[Tensor, "steps 3"]
    """From left to right."""


@dataclass(frozen=True)
class Coloring:
    """Colours of points, and what they mean."""

    colors: UInt8[Tensor, "points 3"]
    """RGB."""

    legend: Legend | None
    """None where the colours speak for themselves."""


def coloring(
    scene: Reconstruction, cloud: PointCloud, frame: Framing, color_by: ColorBy
) -> Coloring:
    """Return colours for the points of a cloud.

    Confidence and height span the colours between the values that leave out the 2 % at either end.

    Args:
        scene: Where the cloud is from.
        cloud: What to colour; "photo" leaves its colours as they are.
        frame: Tells what is up.
        color_by: What the colours tell.

    Raises:
        ValueError: `color_by` is unknown.
    """
    if color_by not in COLOR_BY:
        raise ValueError(f"color_by must be one of {', '.join(COLOR_BY)}, got {color_by!r}")
    if color_by == "photo":
        return Coloring(cloud.colors, None)
    if color_by == "view":
        return _by_view(scene, cloud)
    steps = magma(torch.linspace(0, 1, 64))
    if color_by == "confidence":
        low, high = middle_range(cloud.confidence)
        level = (cloud.confidence.log() - torch.tensor(low).log()) / _span(low, high).log()
        legend = Legend(f"confidence {low:.3g}", f"{high:.3g}", steps)
    else:
        height = (cloud.points - frame.centre.float()) @ frame.up.float()
        low, high = middle_range(height)
        level = (height - low) / max(high - low, 1e-12)
        unit = " m" if scene.scale.kind == "metric" else ""
        legend = Legend("height 0", f"{high - low:.2g}{unit}", steps)
    return Coloring(magma(level), legend)


def _by_view(scene: Reconstruction, cloud: PointCloud) -> Coloring:
    places = torch.zeros(len(scene.views), dtype=torch.long)
    places[scene.registered] = torch.arange(len(scene.registered))
    steps = spectrum(torch.arange(len(scene.registered)) / len(scene.registered))
    first, last = scene.registered[0] + 1, scene.registered[-1] + 1
    return Coloring(steps[places[cloud.view_index]], Legend(f"photo {first}", f"{last}", steps))


def _span(low: float, high: float) -> Float[Tensor, ""]:
    return torch.tensor(max(high / low, 1 + 1e-6))
