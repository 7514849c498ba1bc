"""The cores of this machine that a process may use."""

import os


def usable_cores() -> int:
    """Return how many there are, which a container or `taskset` may have made fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
