"""`fast3r serve`: its options, and how it refuses to start."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fast3r.serve.store import Store
from tests.commands import Command


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the command from changing how this process logs and warns."""
    monkeypatch.setattr("fast3r.serve.log.configure", lambda **_: None)


@pytest.fixture
def refused(fast3r: Command) -> Callable[..., str]:
    """Returns what a command line that cannot be fulfilled says, beside what is logged."""

    def run(*arguments: object) -> str:
        outcome = fast3r("serve", "--port", 0, *arguments)
        assert outcome.code == 2
        assert "Traceback" not in outcome.err
        (line,) = (line for line in outcome.err.splitlines() if line.startswith("fast3r: "))
        return line

    return run


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-queue", 0], "--max-queue must be positive and finite, got 0"),
        (["--keep-hours", "nan"], "--keep-hours must be positive and finite, got nan"),
        (["--job-timeout-s", "inf"], "--job-timeout-s must be positive and finite"),
        (["--port", 70000], "--port must be between 0 and 65535"),
        (["--device", "cpu", "--device", "cpu"], "--device names one twice: cpu, cpu"),
        (["--device", "tpu"], "device must be one of auto"),
    ],
)
def test_wrong_options_are_refused(refused, tmp_path: Path, options: list, words: str) -> None:
    assert words in refused("--folder", tmp_path, *options)


def test_an_address_that_is_taken_is_refused(refused, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "address already in use" in refused("--folder", tmp_path, "--port", port)


def test_a_folder_in_use_is_refused(refused, tmp_path: Path) -> None:
    with Store(tmp_path):
        message = refused("--folder", tmp_path, "--device", "cpu")
    assert "in use by another" in message


@pytest.mark.parametrize("key", ["", "  \n", "two words", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused(refused, monkeypatch, tmp_path, key: str) -> None:
    monkeypatch.setenv("FAST3R_API_KEY", key)
    message = refused("--folder", tmp_path, "--device", "cpu")
    assert "the key in FAST3R_API_KEY must be printable ASCII" in message
    assert key not in message or not key.strip()


def test_a_key_file_that_is_missing_is_refused(refused, tmp_path: Path) -> None:
    options = ("--device", "cpu", "--api-key-file", tmp_path / "none")
    assert "no such file" in refused("--folder", tmp_path, *options)


def test_the_missing_extra_is_named(refused, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("fast3r.cli.serve.find_spec", lambda _: None)
    message = refused("--folder", tmp_path)
    assert "pip install 'fast3r[serve]'" in message


def test_a_model_that_cannot_be_loaded_ends_the_service(refused, tmp_path: Path) -> None:
    options = ("--device", "cpu", "--model", tmp_path)
    message = refused("--folder", tmp_path / "jobs", *options)
    assert message.startswith(f"fast3r: cannot serve the model {tmp_path}: ")
