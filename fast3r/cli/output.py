"""Output folders of the commands: checked before the work, and what went wrong said after it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fast3r.export.formats import chosen_formats
from fast3r.scene.staging import staging
from fast3r.viz.results import FORMATS


def requested_formats(options: Iterable[str]) -> list[str]:
    """Return the formats of repeated options, each of which may name several with commas.

    Raises:
        ValueError: A format is unknown.
        ImportError: A format needs an extra that is not installed.
    """
    names = (name.strip() for option in options for name in option.split(","))
    return chosen_formats(names, table=FORMATS)


def check_writable(directory: Path) -> None:
    """Make sure that files can be written into a folder, which is made where missing.

    Raises:
        ValueError: They cannot.
    """
    with explained(directory), staging(directory):
        pass


def refuse_problems(problems: list[str]) -> None:
    """Say which formats are missing, now that the others are there.

    Raises:
        ValueError: Some are.
    """
    if problems:
        raise ValueError("; ".join(problems))


def refuse_pictures_among_photos(
    formats: Iterable[str], directory: Path, photos: Iterable[Path]
) -> None:
    """Refuse to write pictures where the photos are: they could replace some, or join them.

    Raises:
        ValueError: A format would.
    """
    place = directory.resolve()
    folders = {photo.parent.resolve() for photo in photos}
    among = {
        "still": place in folders,
        "depth": any(folder.is_relative_to(place / "depth") for folder in folders),
    }
    for name in formats:
        if among.get(name):
            raise ValueError(
                f"--format {name} would write pictures among the photos; choose another --output "
                f"than {directory}"
            )


@contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Say of what fails to be written where that was.

    Raises:
        ValueError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise ValueError(_cannot_write(directory, error)) from error


def _cannot_write(directory: Path, error: OSError) -> str:
    return f"cannot write to {directory}: {(error.strerror or str(error)).lower()}"
