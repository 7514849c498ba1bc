"""`fast3r view`: a saved scene in, a page to look at it in the browser."""

from pathlib import Path

from fast3r.cli.options.view import View
from fast3r.cli.saved import scene_file
from fast3r.cli.screen import Screen
from fast3r.export.formats import load
from fast3r.viz.viewer.page import Viewer


def run(options: View) -> int:
    """Print the address of the page, and show it until told to stop.

    Raises:
        ValueError: An option is wrong, or the scene is damaged or has no cameras.
        OSError: The scene cannot be read.
        ImportError: The extra is missing.
    """
    screen = Screen(options.talk)
    viewer = Viewer(load(_file(options.scene)), host=options.host, port=options.port)
    if options.port not in (0, viewer.port):
        screen.say(f"port {options.port} is taken, the page is at {viewer.port}")
    if not viewer.is_local:
        screen.say("other machines can open this page")
    print(viewer.url, flush=True)
    screen.say("open this address in a browser; Ctrl-C ends it")
    try:
        viewer.wait()
    except KeyboardInterrupt:
        # The usual way to leave is no failure.
        pass
    finally:
        viewer.stop()
    return 0


def _file(scene: Path) -> Path:
    path = scene_file(scene)
    if path.exists():
        return path
    raise ValueError(
        f"there is no {path}; 'fast3r reconstruct PHOTOS --output DIR --format npz' makes one"
    )
