"""What the person in front of the page has chosen, and which views that shows."""

from dataclasses import dataclass
from typing import Literal, get_args

from fast3r.scene.reconstruction import Head
from fast3r.viz.coloring import ColorBy

Span = Literal["all photos", "up to this photo", "only this photo"]
"""Which photos are shown, seen from the current one."""

SPANS: tuple[Span, ...] = get_args(Span)


@dataclass(frozen=True)
class Box:
    """A box that is upright in the scene."""

    low: tuple[float, float, float]
    """Its near, left, lower corner in the axes of the survey."""

    high: tuple[float, float, float]
    """The opposite corner."""


@dataclass(frozen=True)
class Filter:
    """Which points of a view may be drawn: what a node of the page is made from."""

    head: Head = "local"
    """Where the points come from."""

    min_conf_percentile: int = 30
    """The share of each view's pixels, in percent, that is left out for low confidence."""

    mask_sky: bool = False
    """Leave out what looks like sky."""

    crop: Box | None = None
    """Leave out what is not in this box."""


@dataclass(frozen=True)
class Settings:
    """All that the controls of the page say."""

    filter: Filter = Filter()
    """Which points of a view may be drawn."""

    max_points: int = 1_500_000
    """How many points all views have together."""

    color_by: ColorBy = "photo"
    """What the colour of a point tells."""

    point_size: float = 1.0
    """1 just leaves no holes."""

    cameras: bool = True
    """Draw the cameras."""

    camera_size: float = 1.0
    """1 is the size of `Framing.frustum_depth`."""

    span: Span = "all photos"
    """Which photos are shown, seen from the current one."""

    current: int = 0
    """Place of the current photo among the registered ones."""

    hidden: frozenset[int] = frozenset()
    """Places of those that are hidden."""

    sure_from: float = 0.0
    """Views whose median confidence is lower are hidden."""


def shown(settings: Settings, sureness: list[float]) -> list[int]:
    """Return the places of the views to draw at this moment.

    Args:
        settings: What was chosen.
        sureness: Median confidence of each registered view.
    """
    current = settings.current
    in_span = {
        "all photos": lambda place: True,
        "up to this photo": lambda place: place <= current,
        "only this photo": lambda place: place == current,
    }[settings.span]
    return [
        place
        for place, confidence in enumerate(sureness)
        if confidence >= settings.sure_from and place not in settings.hidden and in_span(place)
    ]


def parse_places(text: str, count: int) -> frozenset[int]:
    """Return the places that a text such as "3, 7-12" names, which counts from 1.

    Raises:
        ValueError: It cannot be read, or names a photo that is not there.
    """
    places: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _, last = part.partition("-")
        try:
            low, high = int(first), int(last or first)
        except ValueError:
            raise ValueError(f"photos are named like '3, 7-12', got {part!r}") from None
        # Who types "4-12" comes by "4-1".
        low, high = min(low, high), max(low, high)
        if not 1 <= low <= high <= count:
            raise ValueError(f"there are photos 1 to {count}, got {part!r}")
        places.update(range(low - 1, high))
    return frozenset(places)


def format_places(places: frozenset[int]) -> str:
    """Return the text that `parse_places` reads as these places."""
    runs: list[list[int]] = []
    for place in sorted(places):
        if runs and place == runs[-1][1] + 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return ", ".join(f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in runs)
