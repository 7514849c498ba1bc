"""Where a command computes: one device, or several by a process for each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from fast3r.cli.options.reconstruct import SceneOptions
from fast3r.cluster import launched
from fast3r.models.fast3r import Fast3R
from fast3r.scene.machine import choose_device
from fast3r.scene.sharing import choose_devices, follow_launcher, shared_by_launcher, shared_model


def first_device(options: SceneOptions) -> torch.device:
    """Return the device of this process.

    Raises:
        ValueError: A device is not there, or options do not go together.
    """
    if not options.devices:
        return choose_device(options.device)
    if options.device != "auto":
        raise ValueError("--device is for one device, --devices for several: leave one of them out")
    if launched.is_launched():
        raise ValueError("torchrun has started a process for each device: leave out --devices")
    return choose_devices(options.devices)[0]


@contextmanager
def spread(model: Fast3R, options: SceneOptions) -> Iterator[Fast3R]:
    """Give a model that computes where the options want it to.

    Raises:
        ValueError: The devices cannot share work.
        OSError: A process for a further device could not start.
    """
    if launched.is_launched():
        yield shared_by_launcher(model)
    elif options.devices:
        with shared_model(model, options.devices) as shared:
            yield shared
    else:
        yield model


def run_together(command: Callable[[], int]) -> int:
    """Run a command in the first of the processes that `torchrun` started.

    The others work for it without a word, and return 0 when it is done.
    """
    if not launched.is_leading():
        follow_launcher()
        return 0
    try:
        return command()
    finally:
        launched.dismiss()
