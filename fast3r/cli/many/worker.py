"""Making scenes, one after the other, with a model that is loaded once."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from fast3r.cli.devices import first_device
from fast3r.cli.many.manifest import scene_of
from fast3r.cli.many.outcome import Outcome, forget_failure, outcome_of, write_failure
from fast3r.cli.options.common import Talk
from fast3r.cli.options.reconstruct import Reconstruct, SceneOptions
from fast3r.cli.output import explained
from fast3r.cli.reconstruct import Request, make_scene
from fast3r.cli.screen import Screen
from fast3r.cluster.peers import PeersLostError
from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.plain_values import receive
from fast3r.scene.stages import StageRecorder


class SceneWorker:
    """Makes of each row, which describes a scene, what `fast3r batch` makes of a line.

    It pickles, and loads the model when it is first needed, once in a process however many
    workers there are, so that it suits Ray, Dask, or a pool of processes:

        scenes.map(fast3r.SceneWorker, fn_constructor_args=["out"], concurrency=2)
    """

    def __init__(self, output: str | Path, **options: Any) -> None:
        """Take what is the same for all scenes.

        Args:
            output: Where each scene gets a folder of its name.
            options: Of `fast3r reconstruct` by the names of their fields, such as
                `model="large", format=["colmap"], num_frames=50`.

        Raises:
            ValueError: An option is unknown, or its value is not as it should be.
        """
        self.output = Path(output).absolute()
        self.options = receive(SceneOptions, options)
        if self.options.devices:
            raise ValueError("a worker computes on one device: start one worker for each")

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what became of a scene, as in the summary of `fast3r batch`.

        What is finished is not made again. A scene that fails is no error here, but is told of.

        Args:
            row: `photos`, `name`, and further options; see `fast3r.cli.many.manifest.scene_of`.

        Raises:
            ValueError: The row does not describe a scene.
        """
        scene = scene_of(row, self.output, self.options, folder=Path.cwd())
        outcome = outcome_of(scene, self.output)
        if outcome.status != "finished":
            outcome = make(scene, self.output, loaded_model(self.options))
        return asdict(outcome)


def make(scene: Reconstruct, output: Path, model: Fast3R) -> Outcome:
    """Make a scene, write it, and return what became of it.

    Raises:
        PeersLostError: A process that the model is shared with is gone: no scene can be made.
        ValueError: Not even a failure can be written down.
    """
    try:
        forget_failure(scene)
        with Screen(Talk(quiet=True)) as silent:
            make_scene(Request.checked(scene), model, silent, StageRecorder(model.device))
    except PeersLostError:
        raise
    except (ValueError, OSError, MemoryError, ImportError) as error:
        _fail(scene, error, bug=False)
    except Exception as error:
        # Whatever a scene dies of, the others go on; the exit code says that it was a bug.
        _fail(scene, error, bug=True)
    return outcome_of(scene, output)


def _fail(scene: Reconstruct, error: Exception, *, bug: bool) -> None:
    with explained(scene.output):
        write_failure(scene, error, bug=bug)


def loaded_model(options: SceneOptions) -> Fast3R:
    """Return the model that all scenes share, loaded when it is first asked for."""
    return _loaded(options.model, first_device(options), options.commercial_only)


@lru_cache(maxsize=1)
def _loaded(name: str, device: torch.device, commercial_only: bool) -> Fast3R:
    return load_model(name, device=str(device), commercial_only=commercial_only)
