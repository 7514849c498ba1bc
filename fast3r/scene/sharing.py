"""A network shared over several devices of this machine, or over the processes of `torchrun`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from fast3r.cluster import launched
from fast3r.cluster.crew import leading
from fast3r.models.fast3r import Fast3R
from fast3r.models.follower import follow
from fast3r.models.sharing import SharedFast3R
from fast3r.scene.machine import choose_device


def choose_devices(names: Sequence[str]) -> list[torch.device]:
    """Return the devices of these names, which can share the work.

    Raises:
        ValueError: A device is not there, is named twice, or they are of different kinds.
    """
    if not names:
        raise ValueError("no devices were named: give some, such as cuda:0 cuda:1")
    devices = [choose_device(name) for name in names]
    kinds = {device.type for device in devices}
    if len(kinds) > 1:
        raise ValueError(f"devices must be of one kind to share work, got {', '.join(names)}")
    if "mps" in kinds and len(devices) > 1:
        raise ValueError("an Apple GPU is one device: nothing can be shared with it")
    twice = {str(d) for d in devices if d.type == "cuda" and devices.count(d) > 1}
    if twice:
        raise ValueError(
            f"{', '.join(sorted(twice))} is named more than once: two processes on one GPU would "
            "only wait for each other; name each once"
        )
    return devices


@contextmanager
def shared_model(model: Fast3R, devices: Sequence[str]) -> Iterator[Fast3R]:
    """Give a network that does its work on several devices, by a process for each.

    It stands in for `model` in `fast3r.reconstruct` and everywhere else without gradients, and
    gives the same result, to rounding. The processes end when the block does. The model moves to
    the first device; with a single device nothing else happens.

    Args:
        model: From `fast3r.load_model`.
        devices: Such as `["cuda:0", "cuda:1"]`. The CPU may be named more than once, to try
            things; its threads are shared out.

    Raises:
        ValueError: A device is not there, is named twice, or they are of different kinds.
        PeersLostError: A process could not start, or ended before it should.
    """
    chosen = choose_devices(devices)
    model = model.to(chosen[0])
    if len(chosen) == 1:
        yield model
        return
    with leading("fast3r.models.follower", chosen) as peers:
        yield SharedFast3R(model, peers)


def shared_by_launcher(model: Fast3R) -> Fast3R:
    """Return a network that shares its work with the processes that `torchrun` started.

    For the first of them; the others call `follow_launcher`. It stands in for `model` as that of
    `shared_model` does. The processes stay until `fast3r.cluster.launched.dismiss` is called.

    Raises:
        ValueError: The model is not on the device of the first process.
        PeersLostError: The others did not come.
    """
    device = model.device
    if str(device) not in ("cpu", "cuda:0"):
        raise ValueError(
            f"torchrun gives each process the CUDA device of its place, or the CPU; the first one "
            f"cannot take {device}: use cuda, cpu or auto"
        )
    return SharedFast3R(model, launched.lead(device))


def follow_launcher() -> None:
    """Work for the first of the processes that `torchrun` started, until it lets this one go."""
    launched.follow(follow)
