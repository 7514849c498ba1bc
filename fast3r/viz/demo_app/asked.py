"""What visitors ask for, checked: the page offers only what can be had, programs send anything."""

from collections.abc import Sequence
from typing import Any, TypeVar

from fast3r.viz.demo_app.visits import MAX_FRAMES
from fast3r.viz.demo_app.work import Wish

SIZES = (0, 256, 384, 512)
"""Long sides in pixels at which the network may see photos; 0 is what it was trained for."""

MAX_PERCENTILE = 95
"""Share of the points, in percent, that may be hidden."""

_Choice = TypeVar("_Choice")


def asked_files(sent: Any) -> list[str]:
    """Return the paths of uploads as Gradio sends them.

    Raises:
        ValueError: Something else was sent.
    """
    files = [] if sent is None else sent
    if not isinstance(files, list):
        raise ValueError("files must be a list of uploads")
    paths = [file.get("path") if isinstance(file, dict) else None for file in files]
    found = [path for path in paths if isinstance(path, str) and "\0" not in path]
    if len(found) < len(paths):
        raise ValueError("files must be a list of uploads, each with its path")
    return found


def asked_wish(
    models: Sequence[str], model: Any, size: Any, num_frames: Any, percentile: Any, refine: Any
) -> Wish:
    """Return what is to be made of a visitor's photos.

    Raises:
        ValueError: A value is not among those that the page offers.
    """
    return Wish(
        model=asked_choice("model", model, models),
        size=asked_choice("size", size, SIZES) or None,
        num_frames=round(_number("frames", num_frames, 2, MAX_FRAMES)),
        percentile=asked_percentile(percentile),
        refine=asked_choice("refine", refine, (True, False, None)) is True,
    )


def asked_percentile(sent: Any) -> float:
    """Return the share of each photo's points, in percent, that is hidden.

    Raises:
        ValueError: It is no number, or out of range.
    """
    return _number("percentile", sent, 0, MAX_PERCENTILE)


def asked_choice(name: str, sent: Any, choices: Sequence[_Choice]) -> _Choice:
    """Return one of some choices.

    Raises:
        ValueError: It is none of them.
    """
    for choice in choices:
        # 1 and true are equal, but not the same.
        if type(sent) is type(choice) and sent == choice:
            return choice
    raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {_shown(sent)}")


def _number(name: str, sent: Any, low: float, high: float) -> float:
    is_number = isinstance(sent, int | float) and not isinstance(sent, bool)
    if not (is_number and low <= sent <= high):
        raise ValueError(f"{name} must be a number from {low} to {high}, got {_shown(sent)}")
    return sent


def _shown(sent: Any) -> str:
    text = repr(sent)
    return text if len(text) <= 40 else f"{text[:40]}..."
