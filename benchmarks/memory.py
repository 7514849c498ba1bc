"""Memory of one forward pass: measured on the CPU, and counted by hand."""

import weakref

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.scene.plan import memory
from fast3r.scene.plan.memory import Count
from fast3r.scene.plan.workload import Workload


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all tensors that operators make, until they are freed.

    What existed before, such as weights, is not counted, nor is scratch space inside an operator.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.live = 0
        self._watched: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operator, then look at what it made."""
        known = {storage._cdata for storage in _storages((args, kwargs))}
        made = func(*args, **(kwargs or {}))
        for storage in _storages(made):
            if storage._cdata not in known and storage._cdata not in self._watched:
                self._watch(storage)
        self.peak = max(self.peak, self.live)
        return made

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()

        def forget(_: object) -> None:
            self.live -= size
            del self._watched[key]

        self.live += size
        self._watched[key] = weakref.ref(storage, forget)


def _storages(values: object) -> list[torch.UntypedStorage]:
    return [x.untyped_storage() for x in tree_leaves(values) if isinstance(x, Tensor)]


def count(model: Fast3R, views: int, size: tuple[int, int], chunks: Chunks) -> Count:
    """Return the bytes that `views` images of one size need when no gradients are recorded."""
    item = next(model.parameters()).element_size()
    workload = Workload.uniform(views, size, model.patch)
    return memory.count(model.config, workload, chunks, memory.Formats(item, item))
