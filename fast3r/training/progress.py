"""Where a run stands, and how long it is: in steps or in minutes."""

import time


class Progress:
    """What is behind: it is stored in checkpoints, and data and learning rate follow from it."""

    def __init__(self, steps: int | None, minutes: float | None) -> None:
        """Begin a run of so many updates of the weights, or of so much time spent in training."""
        self._steps, self._minutes = steps, minutes
        self.step = 0
        """Steps done, with those that were skipped."""
        self.skipped = 0
        """Steps without an update, since a gradient was not finite."""
        self.spent_s = 0.0
        """Time spent, as all processes agreed on at the last step."""
        self._before_s = 0.0
        self._begun = time.monotonic()

    @property
    def share(self) -> float:
        """Share of the run that is done, at most 1."""
        if self._steps is not None:
            return min(1.0, self.step / self._steps)
        assert self._minutes is not None
        return min(1.0, self.spent_s / (60 * self._minutes))

    @property
    def tick(self) -> float:
        """Share of one step; 0 where it is not known."""
        return 0.0 if self._steps is None else 1 / self._steps

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.share >= 1

    def begin(self) -> None:
        """Start the clock of this process."""
        self._before_s, self._begun = self.spent_s, time.monotonic()

    def clock_s(self) -> float:
        """Return the time spent so far, by this process's clock."""
        return self._before_s + time.monotonic() - self._begun

    def session_s(self) -> float:
        """Return the time since this process began to train."""
        return time.monotonic() - self._begun

    def state(self) -> dict[str, float]:
        """Return what a checkpoint stores."""
        return {"step": self.step, "skipped": self.skipped, "spent_s": self.spent_s}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from what a checkpoint stored."""
        self.step, self.skipped = int(state["step"]), int(state["skipped"])
        self.spent_s = float(state["spent_s"])
