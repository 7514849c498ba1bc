"""--commercial-only: weights that do not allow commercial use are refused before anything runs."""

import pytest


@pytest.mark.parametrize(
    "command",
    [
        ["reconstruct", "examples/photos/banana", "--output", "{out}"],
        ["serve", "--folder", "{out}"],
        ["demo"],
    ],
)
def test_the_published_model_is_refused(command, tmp_path, fast3r):
    arguments = [part.format(out=tmp_path / "out") for part in command]
    outcome = fast3r(*arguments, "--model", "large", "--commercial-only")
    assert outcome.code == 2
    assert "Noncommercial" in outcome.err
