"""Processes that are started, and what happens when one of them ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from fast3r.cluster.crew import Crew, leading
from fast3r.cluster.peers import Peers, PeersLostError
from tests.processes import is_alive

CPU = torch.device("cpu")
REPOSITORY = Path(__file__).parents[2]


@contextmanager
def led(size: int = 2, module: str = "tests.cluster.summing") -> Iterator[tuple[Peers, list[int]]]:
    """Lead processes, and make sure that in the end none of them is left."""
    with leading(module, [CPU] * size) as peers:
        crew = getattr(peers._why_lost, "__self__", None)
        assert isinstance(crew, Crew)
        numbers = [process.pid for process in crew._processes]
        yield peers, numbers
    assert not any(map(is_alive, numbers))


def test_no_process_is_left_behind_after_an_error() -> None:
    group = led(3)
    _, numbers = group.__enter__()
    assert len(numbers) == 2
    assert all(map(is_alive, numbers))
    group.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert not any(map(is_alive, numbers))


def test_a_process_that_is_killed_is_named_and_the_others_are_ended() -> None:
    with led(3) as (peers, numbers):
        os.kill(numbers[1], signal.SIGKILL)
        with pytest.raises(PeersLostError, match=r"process 3 of 3 \(cpu\) ended with SIGKILL$"):
            peers.agree()
        assert not any(map(is_alive, numbers))
        with pytest.raises(PeersLostError, match="have ended: start them again"):
            peers.order(("say", ""))


def test_what_a_process_said_last_is_told() -> None:
    with led() as (peers, _):
        peers.order(("exit", 3))
        with pytest.raises(PeersLostError, match=r"ended with exit code 3: the reason$"):
            peers.agree()


def test_a_process_that_cannot_start_is_named_with_what_it_said() -> None:
    words = r"process 2 of 2 \(cpu\) ended with exit code 1: .*No module named tests.nobody"
    with pytest.raises(PeersLostError, match=words), led(module="tests.nobody"):
        pass


def test_ctrl_c_in_another_process_is_ctrl_c_here() -> None:
    with led() as (peers, _):
        peers.order(("end", signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            peers.agree()


def test_threads_are_shared_out_and_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    with led():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 4
    torch.set_num_threads(before)


LONELY = """
import os, torch
from fast3r.cluster.crew import leading
with leading("tests.cluster.summing", [torch.device("cpu")] * 2) as peers:
    print(peers._why_lost.__self__._processes[0].pid, flush=True)
    peers.order(("end", 0))
    os.kill(os.getpid(), 9)
"""


def test_a_leader_that_is_killed_leaves_nobody_behind() -> None:
    program = [sys.executable, "-c", LONELY]
    died = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert died.returncode == -signal.SIGKILL, died.stderr
    end = time.monotonic() + 10
    while is_alive(int(died.stdout)):
        assert time.monotonic() < end, "a process was left behind"
        time.sleep(0.05)
