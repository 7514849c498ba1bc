"""A scene's results in a folder: every format that was asked for, and the report."""

from pathlib import Path

from fast3r.export import formats as export
from fast3r.export.formats import Format, cloud_to_write, write_formats
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.report import RunReport, remove_results, write_report
from fast3r.scene.stages import StageRecorder
from fast3r.viz.stills import write_still

FORMATS = {**export.FORMATS, "still": Format("still.png", write_still)}
"""Every format by name: those of `fast3r.export`, and pictures."""


def write_results(
    scene: Reconstruction,
    report: RunReport,
    directory: Path,
    formats: list[str],
    recorder: StageRecorder,
    *,
    min_conf_percentile: float,
) -> list[str]:
    """Replace what an earlier run wrote into a folder by this scene and its report.

    A run that is cut short meanwhile leaves no report, and nothing of an earlier one. Without any
    camera there are no points, and `cameras` is all that is written. Returns why formats that
    cannot hold this scene were not written.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.
    """
    formats = formats if scene.registered else ["cameras"]
    remove_results(directory)
    files, problems = write_each(
        scene, directory, formats, recorder, min_conf_percentile=min_conf_percentile
    )
    write_report(report, scene, directory / "report.json", files=files)
    return problems


def write_each(
    scene: Reconstruction,
    directory: Path,
    formats: list[str],
    recorder: StageRecorder,
    *,
    min_conf_percentile: float,
) -> tuple[list[Path], list[str]]:
    """Write a scene in each of the formats; those that are complete stay if a later one fails.

    Returns the files written, relative to the folder, and why formats that cannot hold this scene
    were not.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.
    """
    files: list[Path] = []
    problems: list[str] = []
    with recorder.stage("write files") as tell:
        cloud = None
        if scene.registered:
            cloud = cloud_to_write(scene, min_conf_percentile=min_conf_percentile)
        for done, name in enumerate(formats):
            tell(done, len(formats))
            try:
                files += write_formats(scene, directory, [name], cloud=cloud, table=FORMATS)
            except ValueError as error:
                problems.append(f"{name} was not written: {error}")
    return files, problems
