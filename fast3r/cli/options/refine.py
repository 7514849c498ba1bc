"""What `fast3r refine` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from fast3r.cli.options import common


@dataclass(frozen=True)
class Refine:
    """Make the cameras of a scene, saved by 'reconstruct --format npz', exact.

    Writes scene.npz, cameras.json, scene.ply and refinement.json, and prints the name of the output
    folder. 'reconstruct --refine' does the same in one go.

    Examples:
      fast3r refine out/scene.npz --output refined
      fast3r refine out --photos photos/ --output refined --format colmap
      fast3r refine out --output refined --priors known.json
    """

    scene: common.SavedScene
    output: common.Output

    photos: Annotated[Path | None, common.optional("DIR")] = None
    """Where the photos are now; by default where they were."""

    format: common.Formats = ()

    intrinsics: Literal["auto", "shared", "own"] = "auto"
    """Shared by photos of one camera and size, each photo's own, or what explains the photos."""

    priors: common.Priors = None
    seed: common.Seed = 0
    min_conf_percentile: common.MinConfPercentile = 30.0
    talk: common.TalkOptions = common.USUAL_TALK
