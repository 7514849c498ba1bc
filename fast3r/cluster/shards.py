"""Parts of a list of work, such as `2/8`, that processes anywhere take without talking."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

_Work = TypeVar("_Work")


@dataclass(frozen=True)
class Shard:
    """One of several parts of the work, that may run at the same time anywhere."""

    number: int = 1
    """From 1."""

    count: int = 1
    """Of parts."""

    @staticmethod
    def parsed(text: str) -> "Shard":
        """Return the shard that `2/8` stands for.

        Raises:
            ValueError: It stands for none.
        """
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise ValueError(f"--shard must be like 1/4, 2/4, ..., 4/4; got {text!r}")
        return Shard(int(number), int(count))

    def of(self, work: Sequence[_Work]) -> Sequence[_Work]:
        """Return the work of this part."""
        return work[self.number - 1 :: self.count]
