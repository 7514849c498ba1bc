"""Command lines run in the process of the test."""

from dataclasses import dataclass

import pytest

from fast3r.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


def run_command(capfd: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """Run `fast3r` with these arguments."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    return Outcome(code, *capfd.readouterr())
