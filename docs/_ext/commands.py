"""The directive `command`: what `fast3r COMMAND --help` prints, taken when the site is built."""

import subprocess
import sys
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive


class Command(Directive):
    """The help of a command as a literal block; its argument is the command line after fast3r."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict] = {}

    def run(self) -> list[nodes.Node]:
        """Return the block."""
        words = self.arguments[0].split()
        done = subprocess.run(
            [sys.executable, "-m", "fast3r", *words, "--help"],
            capture_output=True,
            text=True,
            check=True,
            env=self._environment(),
        )
        return [nodes.literal_block(done.stdout, done.stdout, language="text")]

    def _environment(self) -> dict[str, str]:
        import os

        return os.environ | {"COLUMNS": "84", "NO_COLOR": "1", "PYTHONPATH": sys.path[1]}


def setup(app) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command", Command)
    return {"parallel_read_safe": True}
