"""One process for each further device of this machine, started and ended by the one that leads."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

import fast3r
from fast3r.cluster.peers import Peers, PeersLostError, join, part

READY = b"ready\n"
"""What a process says when it is about to join."""

_LAST_BREATH_S = 5.0
"""How long after its connections a process may take to end."""


class Crew:
    """Processes that follow this one; each ends at once when this one does."""

    def __init__(self, module: str, devices: Sequence[torch.device], folder: Path) -> None:
        """Start a process for every device but the first.

        Args:
            module: What they run, see `following`.
            devices: Of all processes, this one's first.
            folder: An empty one, for what they have in common and for what they complain of.
        """
        self._devices = devices
        self._folder = folder
        self.meeting_point = folder / "meeting"
        """File for `join`."""
        self._processes = [
            self._started(module, rank, device) for rank, device in enumerate(devices[1:], start=1)
        ]

    def _started(self, module: str, rank: int, device: torch.device) -> "subprocess.Popen[bytes]":
        words = [str(self.meeting_point), str(rank), str(len(self._devices)), str(device)]
        with self._complaints(rank).open("wb") as complaints:
            return subprocess.Popen(
                [sys.executable, "-m", module, *words],
                stdin=subprocess.PIPE,  # its end is how they learn of ours
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=_environment(),
            )

    def meet(self) -> None:
        """Wait until all processes are ready to join.

        Raises:
            PeersLostError: One of them could not start.
        """
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != READY:
                raise PeersLostError(self.why_lost())
        join(0, len(self._devices), self.meeting_point)

    def why_lost(self) -> str:
        """Return which process ended and how, and end the rest.

        Raises:
            KeyboardInterrupt: It was Ctrl-C, which goes to all processes of a terminal.
        """
        end = time.monotonic() + _LAST_BREATH_S
        while not (ended := self._ended()) and time.monotonic() < end:
            time.sleep(0.05)
        self.end()
        if not ended:
            return "the connection to another process broke"
        rank, code = ended[0]
        if code == -signal.SIGINT:
            raise KeyboardInterrupt
        said = self._complaints(rank).read_text(errors="replace").strip().splitlines()[-1:]
        place = f"process {rank + 1} of {len(self._devices)} ({self._devices[rank]})"
        return f"{place} ended with {_in_words(code)}" + "".join(f": {line}" for line in said)

    def end(self) -> None:
        """End all processes that have not ended yet."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
        for process in self._processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                stream.close()

    def _ended(self) -> list[tuple[int, int]]:
        codes = [process.poll() for process in self._processes]
        return [(rank, code) for rank, code in enumerate(codes, start=1) if code is not None]

    def _complaints(self, rank: int) -> Path:
        return self._folder / f"{rank}.txt"


@contextmanager
def leading(module: str, devices: Sequence[torch.device]) -> Iterator[Peers]:
    """Start processes, give what leads them, and end them in any case.

    On the CPU the threads of this process are shared out, too.

    Raises:
        PeersLostError: A process could not start.
        ValueError: torch.distributed is in use already.
    """
    threads = torch.get_num_threads()
    if devices[0].type == "cpu":
        torch.set_num_threads(max(1, threads // len(devices)))
    with tempfile.TemporaryDirectory(prefix="fast3r-") as folder:
        crew = Crew(module, devices, Path(folder))
        try:
            crew.meet()
            yield Peers(devices[0], why_lost=crew.why_lost)
        finally:
            crew.end()
            part()
            torch.set_num_threads(threads)


def following(arguments: Sequence[str], follow: Callable[[Peers], None]) -> None:
    """Follow the process that started this one, with its arguments, until it ends.

    Ctrl-C ends this process without a word, and so does the end of the one that leads.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_leader, daemon=True).start()
    meeting_point, rank, size, device = arguments
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    with suppress(PeersLostError):
        join(int(rank), int(size), Path(meeting_point))
        follow(Peers(torch.device(device)))
    part()


def _end_with_leader() -> None:
    # Not by way of sys.stdin, whose lock would be held when the interpreter ends.
    os.read(0, 1)
    # Not an exit in order: the other thread may be waiting for whoever is gone.
    os._exit(1)


def _environment() -> dict[str, str]:
    """Return the environment of a process that finds this package where this one did."""
    home = str(Path(fast3r.__file__).parents[1])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }


def _in_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
