"""Command lines in this process, photos, and networks for them."""

from functools import partial
from pathlib import Path

import pytest

from fast3r.models.checkpoints import save_model
from tests.commands import Command, run_command
from tests.scene.playback import (
    PlayedBack,
    Truth,
    a_random_model,
    a_view,
    predicted,
    save_photos,
)


@pytest.fixture
def fast3r(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command line."""
    monkeypatch.setenv("COLUMNS", "200")
    return partial(run_command, capfd)


@pytest.fixture
def reconstruct(fast3r: Command) -> Command:
    """Runs `fast3r reconstruct` on photos, with a folder for the results and further options."""
    return lambda photos, output, *options: fast3r(
        "reconstruct", photos, "--output", output, *options
    )


@pytest.fixture
def truths() -> list[Truth]:
    return [a_view(seed, 480, 640, 560.0) for seed in range(3)]


@pytest.fixture
def photos(tmp_path: Path, truths: list[Truth], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos on disk, and a network that sees the truth in them."""
    save_photos(truths, tmp_path / "photos")
    model = PlayedBack([predicted(truth) for truth in truths])
    monkeypatch.setattr("fast3r.cli.reconstruct.load_model", lambda name, **_: model)
    return tmp_path / "photos"


@pytest.fixture
def random_weights(tmp_path: Path) -> Path:
    """A folder with a network that has learned nothing."""
    save_model(a_random_model(), tmp_path / "weights")
    return tmp_path / "weights"
