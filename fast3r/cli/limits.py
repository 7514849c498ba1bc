"""Numbers that servers are given, refused before anything heavy is loaded."""

from collections.abc import Mapping


def check_limits(limits: Mapping[str, float]) -> None:
    """Make sure that limits can be kept.

    Args:
        limits: By the names of their options.

    Raises:
        ValueError: One is not positive and finite.
    """
    for name, value in limits.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be positive and finite, got {value}")


def check_port(port: int) -> None:
    """Make sure that a port exists; 0 stands for any that is free.

    Raises:
        ValueError: It does not.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be between 0 and 65535, got {port}")
