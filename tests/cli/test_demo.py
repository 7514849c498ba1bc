"""`fast3r demo`: its options, and how it refuses to start."""

import subprocess
import sys
from importlib.machinery import ModuleSpec

import pytest

from fast3r.viz.demo_app.settings import Settings
from tests.commands import REPOSITORY, Outcome, assert_refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-views", 0], "--max-views must be positive and finite, got 0"),
        (["--max-upload-mib", "nan"], "--max-upload-mib must be positive and finite, got nan"),
        (["--keep-minutes", "inf"], "--keep-minutes must be positive and finite"),
        (["--port", 70000], "--port must be between 0 and 65535, got 70000"),
        (["--device", "tpu"], "device must be one of auto"),
        (["--host", "no.such.host.invalid"], "not known"),
    ],
)
def test_wrong_options_are_refused(fast3r, options: list, words: str) -> None:
    assert_refused(fast3r("demo", *options), words)


def test_without_gradio_the_extra_is_named(fast3r, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        return None if name == "gradio" else ModuleSpec(name, None)

    monkeypatch.setattr("fast3r.viz.demo.find_spec", find_spec)
    assert_refused(fast3r("demo"), "the demo needs gradio: pip install 'fast3r[demo]'")


def test_the_options_reach_the_demo(fast3r, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Settings] = []

    def serve_demo(settings: Settings, *, tell) -> None:
        asked.append(settings)
        tell("http://localhost:1")

    monkeypatch.setattr("fast3r.cli.demo.serve_demo", serve_demo)
    assert fast3r("demo") == Outcome(0, "http://localhost:1\n", "")
    fast3r("demo", "--model", "large", "--model", "mine/", "--host", "::1", "--share")
    assert asked[0] == Settings()
    assert asked[1] == Settings(models=("large", "mine/"), host="::1", share=True)


def test_by_default_nothing_is_shared_and_only_this_machine_is_let_in() -> None:
    assert Settings().share is False
    assert Settings().host == "127.0.0.1"


def test_the_file_of_the_demo_is_the_command() -> None:
    command = [sys.executable, REPOSITORY / "fast3r" / "viz" / "demo.py", "--help"]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=REPOSITORY / "docs"
    )
    assert "--keep-minutes" in said.stdout
    assert "fast3r demo" in said.stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from fast3r.cli import main; import contextlib\n"
        "with contextlib.suppress(SystemExit): main(['demo', '--help'])\n"
        "print(sorted({'torch', 'gradio', 'viser'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert said.stdout.splitlines()[-1] == "[]"
