"""Log lines: one JSON object each, on stderr.

No key, no file name of a client and no whole job id is ever logged: who knows an id may see the
job.
"""

import json
import logging
import sys
import traceback
from datetime import datetime, timezone
from types import TracebackType
from typing import Literal

Level = Literal["info", "warning", "error"]

_LOGGER = logging.getLogger("fast3r.serve")


def tell(event: str, *, level: Level = "info", **facts: object) -> None:
    """Log that something happened, with facts that programs can read."""
    _LOGGER.log(logging.getLevelName(level.upper()), event, extra={"facts": facts})


def configure(*, quiet: bool = False) -> None:
    """Send everything that this process logs or warns of, or dies of, to stderr as JSON."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[lines], level=logging.WARNING, force=True)
    _LOGGER.setLevel(logging.WARNING if quiet else logging.INFO)
    logging.captureWarnings(True)
    sys.excepthook = _log_death


def _log_death(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    lines = "".join(traceback.format_exception(kind, error, trace))
    tell("died of an error", level="error", traceback=lines)


class _JsonLines(logging.Formatter):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {"source": record.name}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
