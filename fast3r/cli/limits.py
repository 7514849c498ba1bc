"""Numbers that commands are given, refused before anything heavy is loaded."""

from collections.abc import Mapping

from fast3r.scene.plan.ladder import FEWEST_CHUNK_VIEWS


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


def check_budget(memory_gib: float | None, chunk_views: int | None) -> None:
    """Make sure that what a run is told about its size can be kept.

    Raises:
        ValueError: It cannot.
    """
    if memory_gib is not None:
        check_limits({"--memory-gib": memory_gib})
    if chunk_views is not None and chunk_views < FEWEST_CHUNK_VIEWS:
        raise ValueError(
            f"--chunk-views must be at least {FEWEST_CHUNK_VIEWS}, got {chunk_views}: chunks are "
            "joined by the photos that they have in common"
        )


def check_seed(seed: int) -> None:
    """Make sure that torch takes a seed.

    Raises:
        ValueError: It does not.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"--seed must be between 0 and 2**64 - 1, got {seed}")


def check_port(port: int) -> None:
    """Make sure that a port exists; 0 stands for any that is free.

    Raises:
        ValueError: It does not.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be between 0 and 65535, got {port}")
