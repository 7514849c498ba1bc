"""A worker as its server sees it: a process that is told what to do, and can be killed."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from pydantic import ValidationError

from fast3r.serve.log import tell
from fast3r.serve.settings import KEY_VARIABLE
from fast3r.serve.wire import FROM_WORKER, MAX_LINE_BYTES, FromWorker, Order


class WorkerProcess:
    """One process; it lives until it is killed, dies, or its server does."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._end = asyncio.create_task(process.wait())

    @classmethod
    async def start(cls, command: Sequence[str]) -> "WorkerProcess":
        """Start a process with its own group, so that Ctrl-C is for the server alone."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
            # Who decodes strangers' files needs to know no more than that takes.
            env={name: value for name, value in os.environ.items() if name != KEY_VARIABLE},
            start_new_session=sys.platform != "win32",
        )
        return cls(process)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._end.done()

    @property
    def ending(self) -> "asyncio.Task[int]":
        """The task that is over when the process is."""
        return self._end

    @property
    def how_it_ended(self) -> str:
        """Signal or exit code of a process that has ended, in words."""
        code = self._process.returncode
        if code is None or code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"

    async def send(self, order: Order) -> None:
        """Give it work; a dead one takes it too, and says nothing."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(order.model_dump_json().encode() + b"\n")
            await self._process.stdin.drain()

    async def receive(self) -> FromWorker | None:
        """Return what it says next; None if it is dead or talks nonsense, which kills it."""
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readline()
            if line.endswith(b"\n"):
                return FROM_WORKER.validate_json(line)
        except (ValueError, ValidationError) as error:
            tell("worker talks nonsense", level="error", why=str(error))
        await self.kill()
        return None

    async def kill(self) -> None:
        """End it, and all that it started; when this returns nothing runs any more."""
        # The number of a process that has ended may be another's by now.
        if self.alive:
            with suppress(ProcessLookupError):
                self._kill_group()
        await asyncio.shield(self._end)

    def _kill_group(self) -> None:
        if sys.platform == "win32":
            self._process.kill()
        else:
            os.killpg(self._process.pid, signal.SIGKILL)
