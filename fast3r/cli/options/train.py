"""What `fast3r train` can be told."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from fast3r.cli.options import common


@dataclass(frozen=True)
class Train:
    """Train or fine-tune a model: a preset, and anything of it changed as KEY=VALUE.

    Presets: smoke (two minutes on a CPU), small (the bundled model, on scenes made on the way),
    finetune (the published weights on your photos, one GPU of 24 GB), base (fusion of 12 blocks),
    paper (the published run), or a YAML file of yours. The same command goes on with a run that was
    stopped. Prints the name of the newest checkpoint, which every command takes as --model.

    Examples:
      fast3r train preset=smoke
      fast3r train preset=small output=runs/mine minutes=30 data.workers=2
      fast3r train preset=small steps=1000 data.views=[2,8] launcher=slurm
      fast3r train preset=finetune data.photos.sources.mine.root=my_scenes
    """

    overrides: Annotated[Positional[tuple[str, ...]], common.optional("KEY=VALUE")] = ()
    """preset=NAME and changes; docs/training.md lists the keys, and a wrong one is told."""

    show: common.Flag = False
    """Print the whole config instead of training."""

    talk: common.TalkOptions = common.USUAL_TALK
