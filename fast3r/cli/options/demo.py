"""What `fast3r demo` can be told."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import UseAppendAction, arg

from fast3r.cli.options import common


@dataclass(frozen=True)
class Demo:
    """Open a page on which photos become a scene: drop them, look around, download.

    Prints the address. Nothing leaves this machine, and what visitors add is deleted after use.

    Examples:
      fast3r demo
      fast3r demo --model small --host 0.0.0.0 --port 8080
    """

    model: Annotated[
        UseAppendAction[tuple[str, ...]],
        arg(
            metavar="NAME|PATH",
            help="What visitors may choose from, the first by default: small, large, a folder with "
            "weights, or a hub repository; without it small and large.",
        ),
    ] = ()
    commercial_only: common.CommercialOnly = False
    device: common.Device = "auto"
    precision: common.Precision = "auto"
    host: common.Host = "127.0.0.1"

    port: int = 7860
    """Where to listen; the next free one is taken where it is in use."""

    share: common.Flag = False
    """Ask gradio.live for a public link, through which photos then pass."""

    max_views: int = 300
    """Photos and video frames of one visitor."""

    max_upload_mib: float = 1024.0
    """Size of one upload."""

    max_queue: int = 20
    """Visitors that may wait for the device."""

    keep_minutes: float = 60.0
    """Time until photos and results of visitors who do nothing are deleted."""

    talk: common.TalkOptions = common.USUAL_TALK
