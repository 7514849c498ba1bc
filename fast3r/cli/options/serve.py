"""What `fast3r serve` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, UseAppendAction, arg

from fast3r.cli.options.common import Talk


@dataclass(frozen=True)
class Serve:
    """Answer HTTP requests: photos or a video in as a job, its results out.

    Prints the address. Jobs survive a restart. With FAST3R_API_KEY set, clients must know that key.

    Examples:
      fast3r serve
      fast3r serve --folder /srv/fast3r --model large --device cuda:0 --device cuda:1
    """

    folder: Annotated[Path, arg(metavar="DIR")] = Path("fast3r-jobs")
    """Where jobs and results are kept; made where missing."""

    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Where to listen; 0.0.0.0 lets other machines in."""

    port: int = 8000
    """Where to listen; 0 takes a free one."""

    api_key_file: Annotated[Path | None, arg(metavar="FILE")] = None
    """File that holds the key, instead of FAST3R_API_KEY."""

    model: Annotated[str, arg(metavar="NAME|PATH")] = "small"
    """small (bundled), large (the published one), a folder with weights, or a hub repository."""

    commercial_only: FlagCreatePairsOff[bool] = False
    """Refuse weights that do not say that they may be used commercially, such as large."""

    device: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME")] = ()
    """Where to compute: auto, cuda, cuda:1, mps, cpu; repeat it for one worker on each."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the transformer; auto is bfloat16 on CUDA devices that have it."""

    max_queue: int = 20
    """Jobs that may wait; further ones are told to come back later."""

    max_views: int = 300
    """Photos and video frames of one job."""

    max_upload_mib: float = 1024.0
    """Size of one job's uploads."""

    max_megapixels: float = 100.0
    """Size of one photo; larger ones are left out."""

    job_timeout_s: float = 1800.0
    """Time for one job."""

    keep_hours: float = 24.0
    """Time until results are deleted."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""
