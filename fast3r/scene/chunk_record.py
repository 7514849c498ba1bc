"""What a reconstruction in chunks did."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChunkRecord:
    """One pass."""

    first: str
    """Name of its first view."""

    last: str
    """Name of its last view."""

    views: int
    """Number of its views."""

    registered: int
    """Number of them that found a camera in the pass."""

    joined: bool
    """Whether it is part of the scene."""

    reason: str | None
    """Why it is not."""


@dataclass(frozen=True)
class LinkRecord:
    """How two chunks lie to each other."""

    first: int
    """Index of one chunk."""

    second: int
    """Index of the other."""

    kind: str
    """"overlap": they share views; "loop": an extra pass over views of both says so."""

    kept: bool
    """Whether the scene rests on it."""

    views: int
    """Views with cameras on both sides."""

    inlier_ratio: float
    """Share of the confidence of shared pixels at which the two pointmaps agree; of a loop, the
    lower of that at its two ends."""

    residual: float | None
    """Median distance of the two points of a pixel relative to its depth; None if not told."""

    reason: str | None
    """Why it was not kept."""


@dataclass(frozen=True)
class LongRecord:
    """How the chunks of a scene were made and joined."""

    chunk_views: int
    """Views in a chunk, at most."""

    overlap: int
    """Views that neighbours share, at least."""

    order: str
    """"given" or "similarity": what the chunks follow."""

    chunks: list[ChunkRecord]
    """All passes, but those over the ends of loops."""

    links: list[LinkRecord]
    """All pairs that were tried."""
