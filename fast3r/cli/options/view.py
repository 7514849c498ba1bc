"""What `fast3r view` can be told."""

from dataclasses import dataclass

from fast3r.cli.options import common


@dataclass(frozen=True)
class View:
    """Look at a scene, saved by 'reconstruct --format npz', in a browser.

    Prints the address of the page, which lives until Ctrl-C. No browser is needed on this machine.

    Examples:
      fast3r view out
      fast3r view out/scene.npz --port 9000
      ssh -L 8080:127.0.0.1:8080 server fast3r view out    (then open http://127.0.0.1:8080)
    """

    scene: common.SavedScene
    host: common.Host = "127.0.0.1"

    port: int = 8080
    """Where to listen; if it is taken, or 0, a free one is."""

    talk: common.TalkOptions = common.USUAL_TALK
