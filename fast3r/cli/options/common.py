"""What the options of several commands share."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, UseAppendAction, arg

Formats = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME")]


@dataclass(frozen=True)
class Talk:
    """How much a command says on stderr."""

    quiet: FlagCreatePairsOff[bool] = False
    """Say nothing but errors."""

    verbose: FlagCreatePairsOff[bool] = False
    """Show the traceback of an error."""
