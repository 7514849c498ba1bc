"""`fast3r export`: a saved scene in, other formats out."""

from fast3r.cli.options.export import Export
from fast3r.cli.output import (
    check_writable,
    explained,
    refuse_problems,
    requested_formats,
)
from fast3r.cli.saved import scene_file
from fast3r.cli.screen import Screen
from fast3r.export.formats import load
from fast3r.scene.stages import StageRecorder
from fast3r.viz.results import write_each


def run(options: Export) -> int:
    """Load the scene, write it, and print the output folder.

    Raises:
        ValueError: An option is wrong, or the scene is damaged or has no cameras.
        OSError: The scene cannot be read.
        ImportError: An extra is missing.
    """
    formats = requested_formats(options.format)
    if not formats:
        raise ValueError("no format was named: give at least one --format, such as --format colmap")
    with Screen(options.talk) as screen:
        recorder = StageRecorder(watcher=screen)
        with recorder.stage("load scene"):
            scene = load(scene_file(options.scene))
        check_writable(options.output)
        percentile = options.min_conf_percentile
        with explained(options.output):
            _, problems = write_each(
                scene, options.output, formats, recorder, min_conf_percentile=percentile
            )
    refuse_problems(problems)
    print(options.output)
    return 0
