"""`fast3r export`: a saved scene in, other formats out."""

from fast3r.cli.options.export import Export
from fast3r.cli.output import check_writable, requested_formats
from fast3r.cli.saved import load_scene, write_scene
from fast3r.cli.screen import Screen
from fast3r.scene.stages import StageRecorder


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
        scene = load_scene(options.scene, recorder)
        check_writable(options.output)
        write_scene(scene, formats, options, recorder, records={})
    print(options.output)
    return 0
