"""The colours of the points that are drawn, made view by view when they are asked for.

They mean the same in all views, which is what the survey is for: it knows the whole scene before
its first view is drawn.
"""

import torch
from jaxtyping import UInt8
from torch import Tensor

from fast3r.scene.reconstruction import Head, Reconstruction
from fast3r.viz.coloring import ColorBy
from fast3r.viz.colormaps import magma, spectrum
from fast3r.viz.viewer.stock import Chosen
from fast3r.viz.viewer.survey import Survey


def colors_of(
    scene: Reconstruction,
    place: int,
    chosen: Chosen,
    color_by: ColorBy,
    survey: Survey,
    *,
    head: Head = "local",
) -> UInt8[Tensor, "points 3"]:
    """Return the colours of points of one view; dark is unsure or low, bright is sure or high.

    Args:
        scene: What is drawn.
        place: Of the view among the registered ones.
        chosen: Its points.
        color_by: What the colours tell.
        survey: Of that scene and head; it tells what is high and what is sure.
        head: Whose confidence counts.
    """
    if color_by == "photo":
        return chosen.colors
    if color_by == "view":
        return view_color(place, len(survey.sureness)).expand(len(chosen), 3)
    if color_by == "height":
        low, high = survey.height_range
        return magma((survey.local(chosen.points)[:, 2] - low) / (high - low))
    confidence = scene.confidence_of(scene.registered[place], head=head)
    low, high = torch.tensor(survey.confidence_range).log()
    return magma((confidence.flatten()[chosen.pixels].log() - low) / (high - low))


def view_color(place: int, count: int) -> UInt8[Tensor, "3"]:
    """Return the colour that stands for a view among so many."""
    return spectrum(torch.tensor(place / count))


def legend_of(color_by: ColorBy, survey: Survey, factor: float, *, metric: bool) -> str:
    """Return what the colours mean, in words.

    Args:
        color_by: What the colours tell.
        survey: Of what is drawn.
        factor: Units of what is told per unit of the scene.
        metric: Whether these units are metres.
    """
    if color_by == "photo":
        return ""
    if color_by == "view":
        return "From red, the first photo, to violet, the last."
    if color_by == "height":
        low, high = survey.height_range
        unit = "m" if metric else "units"
        return f"From dark to bright it is {(high - low) * factor:.2g} {unit} up."
    low, high = survey.confidence_range
    return f"Confidence {low:.2g} is dark, {high:.2g} is bright."
