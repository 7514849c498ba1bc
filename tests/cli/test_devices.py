"""`fast3r reconstruct` on several devices, by itself and under `torchrun`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import REPOSITORY, assert_refused
from tests.processes import is_alive
from tests.scene.playback import a_view, save_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    save_photos([a_view(seed, 480, 640, 560.0) for seed in range(3)], folder)
    return folder


def cameras(folder: Path) -> list[float]:
    """Return all numbers of the cameras."""
    views = json.loads((folder / "cameras.json").read_text())["views"]
    return [
        number
        for view in views
        if view["registered"]
        for row in [*view["intrinsics"], *view["world_from_camera"]]
        for number in row
    ]


def test_devices_share_one_scene(fast3r, tmp_path) -> None:
    photos = REPOSITORY / "examples/photos/buddha"
    alone = fast3r("reconstruct", photos, "--output", tmp_path / "one", "--quiet")
    together = fast3r(
        "reconstruct", photos, "--output", tmp_path / "two", "--devices", "cpu", "cpu"
    )
    assert (alone.code, together.code) == (0, 0), together.err
    assert together.out == f"{tmp_path / 'two'}\n"
    assert together.err.count("pointmaps: ") == 1
    wanted = cameras(tmp_path / "one")
    assert wanted
    assert cameras(tmp_path / "two") == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    report = json.loads((tmp_path / "two/report.json").read_text())
    assert report["options"]["devices"] == ["cpu", "cpu"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--devices", "cpu", "cuda:7"], ["device must be one of auto", "cuda:7"]),
        (["--devices", "cpu", "cpu", "--device", "cpu"], ["leave one of them out"]),
        (["--devices", *["cpu"] * 4], ["4 processes cannot share 3 views", "use fewer devices"]),
    ],
)
def test_devices_that_cannot_share_are_refused(fast3r, photos, tmp_path, options, words) -> None:
    outcome = fast3r("reconstruct", photos, "--output", tmp_path, *options, "--quiet")
    assert_refused(outcome, *words)
    assert not (tmp_path / "report.json").exists()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos that keep the network busy for long enough to be interrupted."""
    folder = tmp_path_factory.mktemp("many")
    save_photos([a_view(0, 240, 320, 280.0)] * 80, folder)
    return folder


def started(arguments: list[object]) -> "subprocess.Popen[str]":
    """Start a command in a group of its own, and wait until the network is at work."""
    words = [sys.executable, "-m", "fast3r", *map(str, arguments)]
    program = subprocess.Popen(
        words,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stderr is not None
    for line in program.stderr:
        if "photos or frames" in line:
            break
    return program


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(number) for number in listed.split()]


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@on_linux
@pytest.mark.parametrize(
    ("signum", "code", "said"),
    [(signal.SIGINT, 130, "fast3r: interrupted\n"), (signal.SIGTERM, 143, "")],
)
def test_a_signal_ends_all_processes(tmp_path, many, signum, code, said) -> None:
    program = started(["reconstruct", many, "--output", tmp_path, "--devices", "cpu", "cpu"])
    followers = children(program.pid)
    assert followers
    # Ctrl-C goes to all processes of a terminal, `kill` to the one that is named.
    os.killpg(program.pid, signum) if signum == signal.SIGINT else program.send_signal(signum)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (code, ""), err
    assert err.endswith(said)
    assert "Traceback" not in err
    assert not any(map(is_alive, followers))
    assert not (tmp_path / "report.json").exists()


@on_linux
def test_a_process_that_is_killed_ends_the_command_with_one_message(tmp_path, many) -> None:
    program = started(["reconstruct", many, "--output", tmp_path, "--devices", "cpu", "cpu"])
    (follower,) = children(program.pid)
    os.kill(follower, signal.SIGKILL)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (2, ""), err
    assert err.endswith("fast3r: process 2 of 2 (cpu) ended with SIGKILL\n")
    assert "Traceback" not in err


def torchrun(*arguments: object) -> "subprocess.CompletedProcess[str]":
    words = ["--standalone", "--nproc-per-node", "2", "-m", "fast3r"]
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words, *map(str, arguments)],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if "RANK" not in name},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_torchrun_shares_one_scene_and_one_process_speaks(tmp_path) -> None:
    photos = REPOSITORY / "examples/photos/buddha"
    done = torchrun("reconstruct", photos, "--output", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'two'}\n"
    assert done.stderr.count("pointmaps: ") == 1
    assert cameras(tmp_path / "two")


def test_under_torchrun_a_fault_is_told_once_and_nothing_hangs(tmp_path) -> None:
    failed = torchrun("reconstruct", tmp_path / "none", "--output", tmp_path / "out")
    assert failed.returncode != 0
    assert failed.stderr.count("fast3r: ") == 1
    assert "none does not exist" in failed.stderr
    assert failed.stdout == ""


def test_under_torchrun_help_lets_the_other_processes_go() -> None:
    helped = torchrun("reconstruct", "--help")
    assert helped.returncode == 0
    assert helped.stdout.count("usage: fast3r reconstruct") == 1


def test_under_torchrun_devices_are_refused(fast3r, photos, tmp_path, monkeypatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("fast3r.cluster.launched.dismiss", lambda: None)
    options = ("--output", tmp_path, "--devices", "cpu", "cpu")
    outcome = fast3r("reconstruct", photos, *options)
    assert_refused(outcome, "torchrun has started a process for each device: leave out --devices")
