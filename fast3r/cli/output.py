"""Output folders of the commands: checked before the work, filled one format at a time."""

from collections.abc import Iterable
from pathlib import Path

from fast3r.export.formats import FORMATS, Format, chosen_formats, write_formats
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.scene.staging import staging
from fast3r.viz.stills import write_still

_FORMATS = {**FORMATS, "still": Format("still.png", write_still)}


def requested_formats(options: Iterable[str]) -> list[str]:
    """Return the formats of repeated options, each of which may name several with commas.

    Raises:
        ValueError: A format is unknown.
        ImportError: A format needs an extra that is not installed.
    """
    names = (name.strip() for option in options for name in option.split(","))
    return chosen_formats(names, table=_FORMATS)


def check_writable(directory: Path) -> None:
    """Make sure that files can be written into a folder, which is made where missing.

    Raises:
        ValueError: They cannot.
    """
    try:
        with staging(directory):
            pass
    except OSError as error:
        raise ValueError(_cannot_write(directory, error)) from error


def write_each(
    scene: Reconstruction,
    directory: Path,
    formats: list[str],
    recorder: StageRecorder,
    *,
    min_conf_percentile: float,
) -> None:
    """Write a scene in each of the formats; those that are complete stay if a later one fails.

    Raises:
        ValueError: The disk is full, or the folder cannot be written to.
    """
    with recorder.stage("write files") as tell:
        cloud = None
        if scene.registered:
            cloud = scene.point_cloud(min_conf_percentile=min_conf_percentile)
        for done, name in enumerate(formats):
            tell(done, len(formats))
            try:
                write_formats(scene, directory, [name], cloud=cloud, table=_FORMATS)
            except OSError as error:
                raise ValueError(_cannot_write(directory, error)) from error


def _cannot_write(directory: Path, error: OSError) -> str:
    return f"cannot write to {directory}: {(error.strerror or str(error)).lower()}"
