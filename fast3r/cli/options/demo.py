"""What `fast3r demo` can be told."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, UseAppendAction, arg

from fast3r.cli.options.common import Talk


@dataclass(frozen=True)
class Demo:
    """Open a page on which photos become a scene: drop them, look around, download.

    Prints the address. Nothing leaves this machine, and what visitors add is deleted after use.

    Examples:
      fast3r demo
      fast3r demo --model small --host 0.0.0.0 --port 8080
    """

    model: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME|PATH")] = ()
    """What visitors may choose from, the first by default: small, large, a folder with weights, or
    a hub repository; repeat it for more. Without it small and large."""

    commercial_only: FlagCreatePairsOff[bool] = False
    """Refuse weights that do not say that they may be used commercially, such as large."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where to compute: auto, cuda, cuda:1, mps, cpu."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the transformer; auto is bfloat16 on CUDA devices that have it."""

    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Where to listen; 0.0.0.0 lets other machines in."""

    port: int = 7860
    """Where to listen; the next free one is taken where it is in use."""

    share: FlagCreatePairsOff[bool] = False
    """Ask gradio.live for a public link, through which photos then pass."""

    max_views: int = 300
    """Photos and video frames of one visitor."""

    max_upload_mib: float = 1024.0
    """Size of one upload."""

    max_queue: int = 20
    """Visitors that may wait for the device."""

    keep_minutes: float = 60.0
    """Time until photos and results of visitors who do nothing are deleted."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""
