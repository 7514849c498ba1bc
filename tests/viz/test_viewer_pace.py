"""Browsers get as many points as they draw fluently."""

from types import SimpleNamespace

import pytest

from fast3r.viz.viewer import pace
from fast3r.viz.viewer.messages import Messages
from fast3r.viz.viewer.pace import FIRST_MILLIONS, Pace


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_PATIENCE_S", 0)


class FakeServer:
    def __init__(self) -> None:
        self.greet = None

    def on_client_connect(self, greet) -> None:
        self.greet = greet

    def get_clients(self) -> dict:
        return {}


def after_timing(
    monkeypatch: pytest.MonkeyPatch, seconds: float, *, most_points: int = 10**7
) -> tuple[float, str]:
    """Return how many millions a browser gets, and what it is told."""
    server, millions = FakeServer(), SimpleNamespace(value=FIRST_MILLIONS)
    monkeypatch.setattr(pace, "seconds_per_picture", lambda client: seconds)
    messages = Messages(server)
    Pace(server, millions, messages, lambda: None, most_points=most_points)
    if server.greet is not None:
        server.greet(None)
        millions.seen = millions.value
        server.greet(None)
        assert millions.value == millions.seen
    return millions.value, messages.latest


@pytest.mark.parametrize(("seconds", "expected"), [(0.05, 1.5), (0.5, 0.3)])
def test_a_browser_that_is_fast_gets_more_points(
    monkeypatch: pytest.MonkeyPatch, seconds: float, expected: float
) -> None:
    assert after_timing(monkeypatch, seconds) == (expected, "")


def test_a_browser_that_is_slow_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    millions, told = after_timing(monkeypatch, 2.0)
    assert millions == FIRST_MILLIONS
    assert told.startswith("Few points are drawn: A picture takes this browser 2.0 s")


def test_a_small_scene_is_drawn_whole_without_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert after_timing(monkeypatch, 2.0, most_points=50_000) == (FIRST_MILLIONS, "")


def test_what_a_person_has_set_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    server, millions = FakeServer(), SimpleNamespace(value=FIRST_MILLIONS)

    def slowly(_client: object) -> float:
        millions.value = 4.0
        return 0.05

    monkeypatch.setattr(pace, "seconds_per_picture", slowly)
    Pace(server, millions, Messages(server), lambda: None, most_points=10**7)
    server.greet(None)
    assert millions.value == 4.0


def test_a_tab_that_draws_nothing_counts_as_slow() -> None:
    def refuse(*_size: int, timeout: float) -> None:
        raise TimeoutError

    assert pace.seconds_per_picture(SimpleNamespace(get_render=refuse)) > 1
