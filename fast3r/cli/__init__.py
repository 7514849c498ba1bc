"""The command line: one file a command, and here what they have in common.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

import inspect
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Union

from fast3r import __version__

if TYPE_CHECKING:
    from fast3r.cli.options import Command

_BAD_INPUT = 2
_INTERRUPTED = 130
_TERMINATED = 143

_SHARING = ("reconstruct", "batch")
"""Commands whose work `torchrun` can share out."""

_ABOUT = """3D from many photos in one forward pass, for example:
  fast3r reconstruct photos/ --output out
'fast3r COMMAND --help' tells more of a command, 'fast3r --version' which version this is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 2 bad input or options.

    Args:
        argv: The command line without the program's name; by default that of this process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with _printed_at_once():
            if arguments == ["--version"]:
                print(f"fast3r {__version__}")
                return 0
            if _is_shared_by_launcher(arguments):
                from fast3r.cli.devices import run_together

                return run_together(lambda: _run(*_parsed(arguments)))
            return _run(*_parsed(arguments))
    except OSError as error:
        # Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):
            # Who reads stdout has seen enough, as in `fast3r doctor | head`. What a command
            # prints is the last thing it does.
            return 0
        print(f"fast3r: cannot print: {_message(error)}", file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt:
        print("fast3r: interrupted", file=sys.stderr)
        return _INTERRUPTED


@contextmanager
def _terminated_politely() -> Iterator[None]:
    """Let SIGTERM leave like an error does, so that half-written files are removed.

    Not while modules are imported: some swallow what is raised meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _printed_at_once() -> Iterator[None]:
    """Write out what was printed, so that a failure to do so is met here."""
    try:
        yield
    finally:
        if sys.stdout is not None:  # None where the caller has closed it.
            sys.stdout.flush()


def _is_shared_by_launcher(arguments: Sequence[str]) -> bool:
    """Return whether `torchrun` started several processes for a command that shares its work."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("WORLD_SIZE") == "1":
        return False
    return "".join(arguments[:1]) in _SHARING


def _parsed(arguments: list[str]) -> "tuple[str, Command]":
    """Return the command's name and options; leave with help or with a message about a fault."""
    from fast3r.cli.options import COMMANDS

    return "".join(arguments[:1]), _options(arguments, COMMANDS, "fast3r", _ABOUT)


def _options(arguments: list[str], kinds: Mapping[str, type], prog: str, about: str) -> "Command":
    """Return the options of the one of these commands that the first argument names."""
    import tyro

    from fast3r.cli.options import ACTIONS

    if arguments and arguments[0] in kinds:
        kind, rest = kinds[arguments[0]], arguments[1:]
        prog, about = f"{prog} {arguments[0]}", inspect.getdoc(kind) or ""
        if kind in ACTIONS:
            return _options(rest, ACTIONS[kind], prog, about)
        return tyro.cli(kind, prog=prog, description=about, args=rest)
    # Only for its help and its messages; the list of commands shows the first line of each.
    every: Any = Union[  # noqa: UP007
        tuple(
            Annotated[kind, tyro.conf.subcommand(name, description=_first_line(kind))]
            for name, kind in kinds.items()
        )
    ]
    return tyro.cli(every, prog=prog, description=about, args=arguments)


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _run(name: str, options: "Command") -> int:
    # Read when torch is loaded: threads that spin while they wait for each other made a busy
    # machine of 4 cores 20 times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        command = import_module(f"fast3r.cli.{name}")
        with _terminated_politely():
            return command.run(options)
    except (ModuleNotFoundError, BrokenPipeError):
        # The first is a fault of ours: a missing extra is a plain ImportError that says what to
        # install. The second is no fault, see `main`.
        raise
    except (ValueError, OSError, MemoryError, ImportError) as error:
        if options.talk.verbose:
            traceback.print_exc()
        print(f"fast3r: {_message(error)}", file=sys.stderr)
        return _BAD_INPUT


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror.lower()}"
    return str(error) or type(error).__name__
