"""`fast3r train`: from presets and overrides to a checkpoint."""

import sys
from functools import partial

from fast3r.cli.options.train import Train
from fast3r.cluster.signals import Preempted
from fast3r.cluster.slurm import sbatch_script
from fast3r.training.config import TrainingConfig
from fast3r.training.slurm import describe, submit

_STOPPED = 143
_NEEDED = ("hydra", "omegaconf", "lightning", "yaml")


def run(options: Train) -> int:
    """Train here or on a cluster, and print where the newest checkpoint is.

    Raises:
        ValueError: A key, a value, data or weights are wrong.
        ImportError: The extra for training is not installed.
    """
    try:
        from fast3r.training.compose import compose, written
        from fast3r.training.run import is_first_process, on_cluster, train
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        raise ImportError(f"training needs {error.name}: pip install 'fast3r[train]'") from error
    config = compose(options.overrides)
    if options.show:
        print(written(config), end="")
        return 0
    if config.launcher == "slurm":
        job = on_cluster(config)
        return _submit(job, partial(train, job, quiet=options.talk.quiet))
    try:
        outcome = train(config, quiet=options.talk.quiet)
    except Preempted as stop:
        print(f"fast3r: {stop}", file=sys.stderr)
        return _STOPPED
    if is_first_process():
        print(outcome.checkpoint)
    return 0


def _submit(config: TrainingConfig, job: partial) -> int:
    folder = config.output / "slurm"
    if config.slurm.dry_run:
        print(sbatch_script(config.slurm, folder))
    else:
        print(describe(submit(job, config.slurm, folder)))
    return 0
