"""What `fast3r view` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from fast3r.cli.options.common import Talk


@dataclass(frozen=True)
class View:
    """Look at a scene, saved by 'reconstruct --format npz', in a browser.

    Prints the address of the page, which lives until Ctrl-C. No browser is needed on this machine.

    Examples:
      fast3r view out
      fast3r view out/scene.npz --port 9000
      ssh -L 8080:127.0.0.1:8080 server fast3r view out    (then open http://127.0.0.1:8080)
    """

    scene: Annotated[Positional[Path], arg(metavar="SCENE", help_behavior_hint="(required)")]
    """A scene.npz, or the folder that holds it."""

    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Where to listen; 0.0.0.0 lets other machines in."""

    port: int = 8080
    """Where to listen; if it is taken, or 0, a free one is."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""
