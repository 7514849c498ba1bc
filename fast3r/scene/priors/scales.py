"""What one unit of a scene is in metres, by the vote of everything that tells it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

GATE = 4.0
"""Standard deviations beyond which two votes contradict each other."""


@dataclass(frozen=True)
class ScaleVote:
    """What one measurement says."""

    prior: str
    """Which measurement."""

    kind: str
    """What kind of, in words for where the scale came from, such as "distances"."""

    log_scale: float
    """Logarithm of metres per unit."""

    sigma: float
    """Its standard deviation, the scene's own error included."""


@dataclass(frozen=True)
class AgreedScale:
    """What most of the votes say."""

    log_scale: float
    """Mean of the votes that agree, by their inverse variances."""

    sigma: float
    """Its standard deviation."""

    agrees: tuple[bool, ...]
    """Which votes these are."""


def agreed_scale(votes: Sequence[ScaleVote]) -> AgreedScale | None:
    """Return the scale that most votes agree on; None where no camp has more votes than others."""
    camps = {_camp(votes, vote) for vote in votes}
    if not camps:
        return None
    size = max(map(len, camps))
    largest = [camp for camp in camps if len(camp) == size]
    # Two camps that share votes differ by less than these votes tell; others have no majority.
    if len(frozenset.intersection(*largest)) == 0:
        return None
    camp = min(largest, key=lambda members: _disorder(votes, members))
    log_scale, sigma = _mean([votes[index] for index in camp])
    near = [abs(v.log_scale - log_scale) < GATE * v.sigma for v in votes]
    agrees = tuple(index in camp for index in range(len(votes)))
    return AgreedScale(log_scale, sigma, tuple(a and n for a, n in zip(agrees, near, strict=True)))


def _camp(votes: Sequence[ScaleVote], centre: ScaleVote) -> frozenset[int]:
    return frozenset(
        index
        for index, vote in enumerate(votes)
        if abs(vote.log_scale - centre.log_scale) <= GATE * math.hypot(vote.sigma, centre.sigma)
    )


def _disorder(votes: Sequence[ScaleVote], members: frozenset[int]) -> float:
    chosen = [votes[index] for index in members]
    mean, _ = _mean(chosen)
    return sum(((vote.log_scale - mean) / vote.sigma) ** 2 for vote in chosen)


def _mean(votes: Sequence[ScaleVote]) -> tuple[float, float]:
    weights = [vote.sigma**-2 for vote in votes]
    mean = sum(w * v.log_scale for w, v in zip(weights, votes, strict=True)) / sum(weights)
    return mean, sum(weights) ** -0.5
