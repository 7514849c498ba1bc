"""What `fast3r export` can be told."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from fast3r.cli.options import common


@dataclass(frozen=True)
class Export:
    """Write a scene, saved by 'reconstruct --format npz', in other formats.

    Prints the name of the output folder.

    Examples:
      fast3r export out/scene.npz --output out --format colmap
      fast3r export out --output web --format html --min-conf-percentile 50
    """

    scene: common.SavedScene
    output: common.Output
    format: Annotated[
        common.Formats,
        arg(
            help="Of ply, colmap, colmap-text, bundler, transforms, splat, glb, laz, mesh, depth, "
            "npz, html, still (a picture), all."
        ),
    ] = ()
    min_conf_percentile: common.MinConfPercentile = 30.0
    talk: common.TalkOptions = common.USUAL_TALK
