"""Encoder, fusion and heads of a network, timed from outside."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from fast3r.models.fast3r import Fast3R


def now(device: torch.device) -> float:
    """Return seconds, once the device has done all that it was told.

    With one thread on the CPU they are the processor's own.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time() if alone else time.perf_counter()


@contextmanager
def at_stages(
    model: Fast3R, begin: Callable[[str], None], end: Callable[[str], None]
) -> Iterator[None]:
    """Call functions with the name of a stage when it begins and ends, from outside, by hooks."""
    stages = [(model.encoder, "encoder"), (model.fusion, "fusion")]
    stages += [(head, "heads") for head in (model.world_head, model.local_head) if head]
    handles = []

    def watch(module: nn.Module, name: str) -> None:
        handles.append(module.register_forward_pre_hook(lambda *_: begin(name)))
        handles.append(module.register_forward_hook(lambda *_: end(name)))

    for module, name in stages:
        watch(module, name)
    yield
    for handle in handles:
        handle.remove()


@contextmanager
def stage_seconds(model: Fast3R) -> Iterator[dict[str, float]]:
    """Sum the seconds spent inside encoder, fusion and heads."""
    seconds: dict[str, float] = defaultdict(float)

    def add(name: str, sign: int) -> None:
        seconds[name] += sign * now(model.device)

    with at_stages(model, lambda name: add(name, -1), lambda name: add(name, 1)):
        yield seconds
