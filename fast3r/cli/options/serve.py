"""What `fast3r serve` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from fast3r.cli.options import common


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

    host: common.Host = "127.0.0.1"

    port: int = 8000
    """Where to listen; 0 takes a free one."""

    api_key_file: Annotated[Path | None, common.optional("FILE")] = None
    """File that holds the key, instead of FAST3R_API_KEY."""

    model: common.Model = "small"
    commercial_only: common.CommercialOnly = False

    device: Annotated[common.Texts, arg(metavar="NAME")] = ()
    """Where to compute: auto, cuda, cuda:1, mps, cpu; repeat it for one worker on each."""

    precision: common.Precision = "auto"

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

    talk: common.TalkOptions = common.USUAL_TALK
