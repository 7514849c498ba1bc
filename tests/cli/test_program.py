"""The program itself: its help, its version, and commands without a file of their own here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fast3r import __version__
from fast3r.export.formats import FORMATS
from fast3r.models.fast3r import Fast3R
from fast3r.scene.machine import EXTRAS
from tests.commands import REPOSITORY, Outcome, assert_refused

# --- convert ---------------------------------------------------------------------------------


def test_convert_writes_weights_that_load_again(fast3r, random_weights, tmp_path) -> None:
    published, ours = tmp_path / "published", tmp_path / "ours.safetensors"
    outcome = fast3r("convert", random_weights, published, "--format", "published")
    assert (outcome.code, outcome.out) == (0, f"{published}\n")
    assert fast3r("convert", published, ours).code == 0
    again, before = Fast3R.from_pretrained(ours), Fast3R.from_pretrained(random_weights)
    for name, weight in before.state_dict().items():
        assert weight.equal(again.state_dict()[name].to(weight.device))


def test_convert_refuses_weights_that_are_not_there(fast3r, tmp_path) -> None:
    outcome = fast3r("convert", "medium", tmp_path / "weights")
    assert_refused(outcome, "medium", "small, large")


# --- doctor ----------------------------------------------------------------------------------


def test_doctor_tells_what_there_is(fast3r) -> None:
    outcome = fast3r("doctor")
    assert outcome.code == 0
    for word in (f"fast3r {__version__}", "torch ", "cpu: ", "GiB", "in one pass", "small: about "):
        assert word in outcome.out


def test_doctor_tells_how_to_install_what_is_missing(fast3r, monkeypatch) -> None:
    monkeypatch.setattr("fast3r.scene.machine.find_spec", lambda module: None)
    assert "missing: viser: pip install 'fast3r[viewer]'" in fast3r("doctor").out


def test_doctor_knows_every_extra_of_the_package() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    section = re.search(r"\[project.optional-dependencies\]\n(.*?)\n\n", text, re.DOTALL)
    assert section is not None
    names = re.findall(r"^(\w+) =", section[1], re.MULTILINE)
    assert sorted(EXTRAS) == sorted(set(names) - {"all"})


# --- help, and the program itself ------------------------------------------------------------


@pytest.mark.parametrize("command", ["reconstruct", "export", "convert", "doctor"])
def test_help_of_every_command_shows_an_example(fast3r, command: str) -> None:
    outcome = fast3r(command, "--help")
    assert outcome.code == 0
    assert f"\n  fast3r {command}" in outcome.out


def test_help_lists_every_command_with_an_example(fast3r) -> None:
    outcome = fast3r("--help")
    assert outcome.code == 0
    assert "fast3r reconstruct photos/ --output out" in outcome.out
    for command in ("reconstruct", "export", "convert", "doctor"):
        assert f"• {command} " in outcome.out


def test_help_names_every_format(fast3r) -> None:
    outcome = fast3r("export", "--help")
    words = set(re.findall(r"[\w-]+", outcome.out))
    assert set(FORMATS) - {"cameras"} <= words


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["--bogus"], ["reconstruct"]])
def test_what_is_no_command_is_refused(fast3r, arguments: list[str]) -> None:
    outcome = fast3r(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "fast3r" in outcome.err
    assert "--help" in outcome.err


def test_version(fast3r) -> None:
    assert fast3r("--version").out == f"fast3r {__version__}\n"


def test_the_program_runs_as_a_module(tmp_path) -> None:
    command = [sys.executable, "-m", "fast3r", "reconstruct", "nowhere", "--output", "out"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}
    )
    assert_refused(Outcome(done.returncode, done.stdout, done.stderr), "nowhere")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["doctor"]])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path, arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "fast3r", *arguments]
    environment = {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, cwd=tmp_path, env=environment
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_printed_is_an_error(tmp_path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fast3r", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={"PYTHONPATH": str(REPOSITORY)},
        )
    assert done.stderr.startswith(b"fast3r: cannot print: no space left on device")
    assert done.returncode == 2
