"""Pointmaps on their way from the heads to where they are kept: in memory, or in files."""

import atexit
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.mapped import in_file

_ON_THE_WAY = 4
"""Views whose copies from a CUDA device may be under way at a time."""

Keep = Callable[[str, Tensor], Tensor]
"""Returns a copy of a tensor on the host, given a name that no other tensor of the run has."""


def in_memory(name: str, tensor: Tensor) -> Tensor:
    """Return a float32 copy on the host that shares memory with nothing."""
    # A copy, also on the CPU: a slice would keep the whole chunk that it is part of alive.
    return torch.empty(tensor.shape).copy_(tensor)


class Scratch:
    """Files that vanish with the tensors in them; a folder is made only when there are some."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the files are, until `close`."""
        if self._folder is None:
            self._parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix=".fast3r-", dir=self._parent))
        return self._folder

    def keep(self, name: str, tensor: Tensor) -> Tensor:
        """Return a float32 copy on the host that lives in a file; see `in_file`."""
        path = self.folder / name
        kept = in_file(path, tensor.float())
        with suppress(OSError):  # Windows does not delete what is in use
            path.unlink()
        return kept

    def close(self) -> None:
        """Remove the folder; tensors stay readable."""
        if self._folder is None:
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._folder.exists():
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)


def on_host(
    predictions: Iterable[tuple[int, Prediction]], keep: Keep, device: torch.device
) -> Iterator[tuple[int, Prediction]]:
    """Yield the same predictions, kept on the host.

    Copies from a CUDA device run beside the heads, which meanwhile compute the next views.
    """
    if device.type != "cuda":
        for index, prediction in predictions:
            yield index, kept_prediction(prediction, index, keep)
        return
    under_way: deque[tuple[int, Prediction, torch.cuda.Event]] = deque()
    stream = torch.cuda.Stream(device)
    for index, prediction in predictions:
        under_way.append((index, *_copied(prediction, stream)))
        if len(under_way) > _ON_THE_WAY:
            yield _arrived(*under_way.popleft(), keep)
    while under_way:
        yield _arrived(*under_way.popleft(), keep)


def kept_prediction(prediction: Prediction, index: int, keep: Keep) -> Prediction:
    """Return the prediction of a view with its tensors kept."""

    def kept(name: str, pointmap: Pointmap) -> Pointmap:
        return Pointmap(
            keep(f"{index}-{name}-points", pointmap.points),
            keep(f"{index}-{name}-confidence", pointmap.confidence),
        )

    local, patches = prediction.local, prediction.patches
    return Prediction(
        kept("world", prediction.world),
        None if local is None else kept("local", local),
        None if patches is None else keep(f"{index}-patches", patches),
    )


def _copied(
    prediction: Prediction, stream: torch.cuda.Stream
) -> tuple[Prediction, torch.cuda.Event]:
    """Return a prediction in page-locked memory, and when all of it will be there."""
    stream.wait_stream(torch.cuda.current_stream(stream.device))
    with torch.cuda.stream(stream):
        copied = kept_prediction(prediction, 0, partial(_to_pinned, stream))
        there = torch.cuda.Event()
        there.record(stream)
        return copied, there


def _to_pinned(stream: torch.cuda.Stream, name: str, tensor: Tensor) -> Tensor:
    # Torch uses page-locked memory again, and only after the copies into it; so there is little.
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    tensor.record_stream(stream)
    return pinned.copy_(tensor, non_blocking=True)


def _arrived(
    index: int, prediction: Prediction, event: torch.cuda.Event, keep: Keep
) -> tuple[int, Prediction]:
    event.synchronize()
    return index, kept_prediction(prediction, index, keep)
