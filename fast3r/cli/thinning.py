"""`--thin`: fewer keys and values."""

from fast3r.cli.options.reconstruct import SceneOptions
from fast3r.models.thinning import Thinning


def thinning_of(options: SceneOptions) -> Thinning | None:
    """Return what fusion is to look at; None for everything.

    Raises:
        ValueError: The share is impossible, or there are several devices.
    """
    if options.thin is None:
        return None
    if options.devices:
        raise ValueError("--thin works on one device only: leave out --thin or --devices")
    return Thinning(options.thin)
