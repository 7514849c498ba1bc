"""Command lines run in the process of the test."""

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fast3r.cli import main
from fast3r.cluster.slurm import SlurmConfig

REPOSITORY = Path(__file__).parents[1]
EXAMPLES = REPOSITORY / "examples/photos"


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


def run_command(capfd: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """Run `fast3r` with these arguments."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    return Outcome(code, *capfd.readouterr())


def run_jobs_here(monkeypatch: pytest.MonkeyPatch) -> list[SlurmConfig]:
    """Let jobs of a cluster run in this process; return what will have been asked of it."""
    asked: list[SlurmConfig] = []

    class Done:
        def __init__(self, made: object) -> None:
            self.result = lambda: made

    class Executor:
        def map_array(self, function: Callable[[int], object], shards: Iterable[int]) -> list[Done]:
            return [Done(pickle.loads(pickle.dumps(function))(shard)) for shard in shards]

    def executor(config: SlurmConfig, folder: Path) -> Executor:
        asked.append(config)
        return Executor()

    monkeypatch.setattr("fast3r.cluster.slurm.slurm_executor", executor)
    return asked


def assert_refused(outcome: Outcome, *words: str) -> None:
    """Check that the user was told, once and without a traceback, and scripts were not."""
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert outcome.err.count("fast3r: ") == 1
    for word in words:
        assert word in outcome.err
