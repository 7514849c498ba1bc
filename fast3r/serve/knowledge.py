"""What a client knows of the photos, in the words of the files on our disk."""

from fnmatch import fnmatchcase

from fast3r.scene.priors.reading import read_priors
from fast3r.scene.priors.types import Priors
from fast3r.serve.naming import PRIORS_FILE
from fast3r.serve.wire import Order
from fast3r.views.photos import Optics


def given_priors(order: Order) -> Priors | None:
    """Return what came with the photos; None where nothing did.

    Raises:
        ValueError: It is not as docs/priors.md has it, or names other files.
    """
    path = order.input_folder / PRIORS_FILE
    return read_priors(path, trusted=False) if path.exists() else None


def lenses_of(order: Order, priors: Priors | None) -> dict[str, Optics] | None:
    """Return the lenses that bend straight lines by the files on our disk."""
    if priors is None or not priors.lenses:
        return None
    found: dict[str, Optics] = {}
    # An exact name goes before any pattern.
    for pattern, lens in sorted(priors.lenses.items(), key=lambda item: "*" not in item[0]):
        for upload in order.uploads:
            if fnmatchcase(upload.name, pattern):
                found[upload.file] = lens
    return found
