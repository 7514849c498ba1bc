"""`fast3r view`: a page for a saved scene, until told to stop."""

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import assert_refused
from tests.scenes import make_scene, without_cameras


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    make_scene(("landscape",)).save(folder / "scene.npz")
    return folder


@pytest.fixture
def running(folder: Path) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "fast3r", "view", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        yield p
        p.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("sign", ["SIGINT", "SIGTERM"])
def test_the_page_lives_until_it_is_told_to_stop(running: subprocess.Popen, sign: str) -> None:
    url = running.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert b"<html" in answer.read().lower()
    assert "Ctrl-C ends it" in running.stderr.readline()
    running.send_signal(getattr(signal, sign))
    assert running.wait(timeout=20) == {"SIGINT": 0, "SIGTERM": 143}[sign]
    assert running.stdout.read() == ""
    assert running.stderr.read() == ""


def test_a_folder_without_a_scene_says_how_to_make_one(fast3r, tmp_path: Path) -> None:
    assert_refused(fast3r("view", tmp_path), "--output DIR --format npz' makes one")


def test_a_file_that_is_not_there_is_refused(fast3r, tmp_path: Path) -> None:
    assert_refused(fast3r("view", tmp_path / "no.npz"), f"there is no {tmp_path / 'no.npz'}")


def test_a_scene_without_cameras_is_refused(fast3r, tmp_path: Path) -> None:
    without_cameras(make_scene(("landscape",)), 0).save(tmp_path / "scene.npz")
    assert_refused(fast3r("view", tmp_path), "none of the 1 views has a camera")


def test_a_port_that_cannot_be_is_refused(fast3r, folder: Path) -> None:
    assert_refused(fast3r("view", folder, "--port", 70000), "port must be between 0 and 65535")


def test_the_missing_extra_is_named(fast3r, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    assert_refused(fast3r("view", folder, "--port", 0), "pip install 'fast3r[viewer]'")
