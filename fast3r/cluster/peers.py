"""Processes that work on one thing together: one leads, the others follow its orders.

Orders, and whatever is on the host, go over Gloo; tensors of CUDA devices go over NCCL. A process
that fails says so where all meet (`Peers.agree`), so that the others need not wait for it; one
that dies closes its connections, which ends the wait of the others.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_PATIENCE = timedelta(minutes=30)
"""How long a process waits for another that works on the same order; NCCL sees a death only so."""

_IDLE = timedelta(days=30)
"""How long a process waits for an order."""


def fillable() -> AbstractContextManager[None]:
    """Make tensors in the block that others can fill, also where no gradients are recorded.

    Gloo fills them in a thread of its own, which older versions of torch refuse to do with those
    made in inference mode.
    """
    return torch.inference_mode(False)  # pyright: ignore[reportReturnType]


class PeersLostError(ConnectionError):
    """Another process is gone, and with it what it was working on."""


class PeerFailedError(RuntimeError):
    """Another process could not do its part; all of them wait for the next order again."""


class Peers:
    """The processes that work together, seen from one of them."""

    def __init__(
        self, device: torch.device | None = None, *, why_lost: Callable[[], str] | None = None
    ) -> None:
        """Meet the others; torch.distributed is initialised with Gloo already.

        Args:
            device: Of this process, where that is known; see `settle`.
            why_lost: Called when a connection breaks, by whoever can say which process ended.
        """
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.lost = False
        """Whether one of the others is gone: nothing can be done together any more."""
        self.device = torch.device("cpu")
        """Where this process computes."""
        self.busy_with: object = None
        """What the one that leads has told the others to have ready."""
        self._is_placed = False
        if device is not None:
            self.place(device)
        self._why_lost = why_lost
        self._orders = self._group("gloo", _IDLE)
        self._hosts = self._group("gloo", _PATIENCE)
        self._devices = self._hosts

    def place(self, device: torch.device) -> None:
        """Choose the device of this process."""
        self.device, self._is_placed = device, True

    def settle(self, kind: str) -> None:
        """Agree to compute on devices of a kind; all others do so, too.

        Who was not given a device takes the CPU, or the CUDA device of its place on its machine.

        Raises:
            PeerFailedError: There are fewer devices than processes.
        """
        with self.in_step():
            if not self._is_placed:
                self.device = _own_device(kind)
        if kind == "cuda" and self._devices is self._hosts:
            torch.cuda.set_device(self.device)
            self._devices = self._group("nccl", _PATIENCE)

    def order(self, order: Any = None) -> Any:
        """Return the order of the first process: it gives one, the others wait for it."""
        box = [order]
        with self._connected():
            dist.broadcast_object_list(box, 0, self._orders)
        return box[0]

    def agree(self, number: int = 0) -> list[int]:
        """Meet all others, and return the number that each of them brings.

        Raises:
            PeerFailedError: One of them has failed since they met last.
        """
        return self._meet(number, None)

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """Run a block that all others run, too, and leave it everywhere if it fails anywhere.

        Raises:
            PeerFailedError: It failed elsewhere.
        """
        try:
            yield
            self.agree()
        except (PeerFailedError, PeersLostError):
            raise
        except Exception as error:
            # Whatever it is, the others wait where they meet next, and must hear of it.
            with suppress(PeerFailedError):
                self._meet(0, told(error))
            raise
        except BaseException:
            # Interrupted: the others are not told, but ended.
            self.lost = True
            raise

    def share(self, parts: Sequence[Tensor]) -> None:
        """Fill part after part, of which each process has its own: the first that of the first.

        Parts are contiguous, of any size and number format, and on the devices of the processes.
        """
        with self._connected():
            waiting = [
                dist.broadcast(part.view(torch.uint8), rank, self._devices, async_op=True)
                for rank, part in enumerate(parts)
            ]
            for work in waiting:
                assert work is not None
                work.wait()

    def give(self, tensors: Sequence[Tensor]) -> None:
        """Give tensors of the first process to all others, who bring tensors to be filled."""
        with self._connected():
            for tensor in tensors:
                dist.broadcast(tensor, 0, self._devices)

    def send(self, tensor: Tensor, rank: int) -> None:
        """Send a tensor to a process that receives it."""
        with self._connected():
            dist.send(tensor.detach().cpu().contiguous(), rank, self._hosts)

    def receive(self, shape: Sequence[int], dtype: torch.dtype, rank: int) -> Tensor:
        """Return a tensor that another process sends, on the host."""
        with self._connected():
            tensor = torch.empty(*shape, dtype=dtype)
            dist.recv(tensor, rank, self._hosts)
        return tensor

    def send_text(self, text: str, rank: int) -> None:
        """Send a text to a process that receives it; may be empty."""
        letters = torch.tensor(list(text.encode()), dtype=torch.uint8)
        self.send(torch.tensor([len(letters)]), rank)
        if len(letters):
            self.send(letters, rank)

    def receive_text(self, rank: int) -> str:
        """Return a text that another process sends."""
        length = int(self.receive([1], torch.int64, rank))
        return bytes(self.receive([length], torch.uint8, rank).tolist()).decode() if length else ""

    def said(self, text: str, rank: int) -> PeerFailedError:
        """Return the error that another process told of."""
        return PeerFailedError(f"process {rank + 1} of {self.size}: {text}")

    def _group(self, backend: str, patience: timedelta) -> dist.ProcessGroup:
        with self._connected():
            group = dist.new_group(backend=backend, timeout=patience)
        assert isinstance(group, dist.ProcessGroup)
        return group

    def _meet(self, number: int, failure: str | None) -> list[int]:
        with self._connected():
            mine = torch.tensor([number, failure is not None])
            every = [torch.empty_like(mine) for _ in range(self.size)]
            dist.all_gather(every, mine, self._hosts)
        failed = [rank for rank, its in enumerate(every) if its[1]]
        if failed:
            words: list[Any] = [None] * self.size
            with self._connected():
                dist.all_gather_object(words, failure, self._hosts)
            raise self.said(words[failed[0]], failed[0])
        return [int(its[0]) for its in every]

    @contextmanager
    def _connected(self) -> Iterator[None]:
        if self.lost:
            raise PeersLostError("the processes that shared the work have ended: start them again")
        try:
            with fillable():
                yield
        except RuntimeError as error:
            self.lost = True
            why = "another process ended" if self._why_lost is None else self._why_lost()
            raise PeersLostError(why) from error
        except BaseException:
            # Interrupted, where others wait for this process.
            self.lost = True
            raise


def _own_device(kind: str) -> torch.device:
    """Return the device of a process that a launcher started.

    Raises:
        ValueError: This machine has fewer devices than processes.
    """
    if kind != "cuda":
        return torch.device(kind)
    place, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if place >= count:
        raise ValueError(
            f"there is a CUDA device for each of {count} processes on this machine, but more were "
            f"started: use --nproc-per-node {count}"
        )
    return torch.device(kind, place)


def told(error: Exception) -> str:
    """Return an error in words: a fault of ours with its way there."""
    if isinstance(error, MemoryError):
        return f"out of memory: {error}"
    if isinstance(error, ValueError | OSError) or "memory" in str(error):
        return str(error) or type(error).__name__
    return "".join(traceback.format_exception(error))


def join(rank: int = -1, size: int = -1, meeting_point: Path | None = None) -> None:
    """Initialise torch.distributed, and wait until all processes have.

    Args:
        rank: Of this process; the first, 0, leads. -1 for what the environment says, as `torchrun`
            sets it.
        size: Number of processes.
        meeting_point: A file that all see, and that was not there before.

    Raises:
        ValueError: This torch, or this process, cannot do so.
        PeersLostError: The others did not come.
    """
    if not dist.is_available():
        raise ValueError("this torch was built without torch.distributed: use a single process")
    if dist.is_initialized():
        raise ValueError(
            "torch.distributed is in use in this process already: share the work from another one"
        )
    place = None if meeting_point is None else meeting_point.as_uri()
    hook = sys.excepthook
    try:
        dist.init_process_group("gloo", init_method=place, rank=rank, world_size=size)
    except RuntimeError as error:
        raise PeersLostError(f"the processes did not meet: {error}") from error
    finally:
        sys.excepthook = hook  # torch puts the rank before each line of a traceback


def part() -> None:
    """Forget the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()
