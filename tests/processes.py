"""What tests ask of processes of this machine."""

import os


def is_alive(pid: int) -> bool:
    """Return whether there is a process of this number, ended but not yet waited for included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
