"""How photos were taken, from the options of `fast3r reconstruct`."""

from collections.abc import Sequence

from fast3r.cli.options.reconstruct import Reconstruct
from fast3r.cli.screen import Screen
from fast3r.geometry.lenses import Lens
from fast3r.scene.priors.types import Priors
from fast3r.views.load import Lenses
from fast3r.views.photos import inspect_photos
from fast3r.views.sources import find_sources
from fast3r.views.view import View

PANORAMAS = "equirectangular"
"""The choice of `--lens` that is no lens."""


def requested_lens(options: Reconstruct) -> Lens | None:
    """Return the lens of all photos, in pixels of the first one; None where there is none.

    Raises:
        ValueError: There is no such lens, or its numbers are missing or not wanted.
    """
    if options.lens is None or options.lens.lower() == PANORAMAS:
        if options.lens_params:
            raise ValueError(
                "--lens-params are the numbers of a --lens such as OPENCV; panoramas have none"
            )
        return None
    photos = find_sources(options.photos).photos
    if not photos:
        raise ValueError(f"--lens is for photos; {options.photos[0]} has none")
    (first,) = inspect_photos(photos[0], size=64, patch=1, optics=None)
    model = options.lens.upper().replace("-", "_")
    width, height = first.resize.original_width, first.resize.original_height
    return Lens(model, options.lens_params, width, height)


def lenses_to_load(options: Reconstruct, priors: Priors | None) -> Lenses | None:
    """Return what is known of how the photos were taken, for `load_views`.

    Raises:
        ValueError: Lenses are told without naming the photos.
    """
    if options.lens is not None and options.lens.lower() == PANORAMAS:
        return PANORAMAS
    return (priors.lenses if priors is not None else None) or None


def tell_lenses(views: Sequence[View], priors: Priors | None, screen: Screen) -> None:
    """Say which views are not the photos as they are."""
    bent = [view.lens for view in views if view.lens is not None]
    sizes = {(lens.width, lens.height) for lens in (priors.lenses if priors else {}).values()}
    scaled = sum((lens.width, lens.height) not in sizes for lens in bent)
    if bent:
        models = ", ".join(dict.fromkeys(lens.model for lens in bent))
        note = f"; the calibration was scaled to the size of {scaled} of them" if scaled else ""
        screen.say(f"{len(bent)} photos are shown as by a pinhole camera ({models}){note}")
    faces = [view.face for view in views if view.face is not None]
    if faces:
        panoramas = len({face.panorama for face in faces})
        screen.say(f"{panoramas} panoramas are seen as {len(faces)} faces")
