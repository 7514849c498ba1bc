"""A signal is remembered while work goes on, and means what it did before afterwards."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from fast3r.cluster.signals import SIGNALS, Preempted, StopSignals


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


def test_no_signal_is_none() -> None:
    with StopSignals() as signals:
        assert signals.received is None


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_is_remembered_instead_of_died_of(signum) -> None:
    with StopSignals() as signals:
        send(signum)
        assert signals.received == signum


@pytest.mark.parametrize("order", [SIGNALS, SIGNALS[::-1]])
def test_a_signal_of_the_users_choice_counts_more_than_sigterm(order) -> None:
    with StopSignals() as signals:
        for signum in order:
            send(signum)
        assert signals.received == signal.SIGUSR2


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(signum) for signum in SIGNALS]
    with StopSignals() as signals:
        assert [signal.getsignal(signum) for signum in SIGNALS] != before
        signals.listen()
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


def test_listening_again_takes_over_from_a_handler_that_was_set_inside() -> None:
    heard = []
    with StopSignals() as signals:
        signal.signal(signal.SIGTERM, lambda *_: heard.append("inner"))
        signals.listen()
        send(signal.SIGTERM)
        assert signals.received == signal.SIGTERM
    assert not heard
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_another_thread_hears_nothing_and_changes_nothing() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def listen() -> None:
        with StopSignals() as signals:
            found.append((signal.getsignal(signal.SIGTERM), signals.received))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == [(before, None)]


WORKER = """
import os
from fast3r.cluster.signals import SIGNALS, ignore_signals
ignore_signals(3)
for signum in SIGNALS:
    os.kill(os.getpid(), signum)
print("alive")
"""


def test_a_worker_that_ignores_signals_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True)
    assert done.stdout == "alive\n"


@pytest.mark.parametrize(
    ("received", "wanted"),
    [
        (signal.SIGUSR2, "saved, and stopped by SIGUSR2; the same command goes on"),
        (None, "saved, and stopped by another process; the same command goes on"),
    ],
)
def test_preempted_says_why(received, wanted) -> None:
    assert str(Preempted(received)) == wanted
