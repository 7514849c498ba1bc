"""What a person sees while a command runs: progress and warnings, on stderr."""

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeElapsedColumn

from fast3r.cli.options.common import Talk
from fast3r.scene.stages import StageCost, Watcher


class Screen(Watcher):
    """Progress bars where stderr is a terminal, one line a stage elsewhere."""

    def __init__(self, talk: Talk) -> None:
        self._console = Console(stderr=True, quiet=talk.quiet, highlight=False)
        self._bars = Progress(
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Screen":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def told(self, line: str) -> None:
        """Show a line that the user should know."""
        self.say(line)

    def started(self, stage: str) -> None:
        """Show that a stage begins."""
        self._tasks[stage] = self._bars.add_task(stage, total=None)

    def advanced(self, stage: str, done: int, steps: int) -> None:
        """Show how far a stage is."""
        self._bars.update(self._tasks[stage], completed=done, total=steps)

    def ended(self, cost: StageCost) -> None:
        """Show that a stage is over."""
        task = self._tasks[cost.name]
        steps = self._bars.tasks[task].total or 1
        self._bars.update(task, completed=steps, total=steps)
        if not self._console.is_terminal:
            self.say(f"{cost.name}: {cost.seconds:.1f} s")

    def say(self, text: str) -> None:
        """Say something that the user should know."""
        # Names of files may hold what moves the cursor or ends the line.
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        self._console.print(shown, markup=False, soft_wrap=True)

    def say_some(self, lines: Sequence[str], *, more: str = "more", most: int = 5) -> None:
        """Say the first lines, and how many are not said.

        Args:
            lines: One thing each.
            more: Follows the number of the others, such as "more, see report.json".
            most: So many lines are said.
        """
        for line in lines[:most]:
            self.say(line)
        if len(lines) > most:
            self.say(f"and {len(lines) - most} {more}")
