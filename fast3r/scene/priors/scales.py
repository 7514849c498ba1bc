"""What one unit of a scene is in metres, by the vote of everything that tells it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fast3r.scene.priors.outcome import PriorCheck

GATE = 4.0
"""Standard deviations beyond which two votes contradict each other."""

LENGTH_SIGMA = 0.04
"""Standard deviation of lengths in a scene relative to each other. Within one pass the released
networks bend a room by a few percent."""


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


def agreed_scale(votes: Sequence[ScaleVote]) -> tuple[float, list[bool]] | None:
    """Return the mean logarithm of the scale that most votes agree on, and which votes these are.

    None where no camp has more votes than others.
    """
    camps = {_camp(votes, vote) for vote in votes}
    size = max(map(len, camps))
    largest = [camp for camp in camps if len(camp) == size]
    # Two camps that share votes differ by less than these votes tell; others have no majority.
    if len(frozenset.intersection(*largest)) == 0:
        return None
    camp = min(largest, key=lambda members: _disorder(votes, members))
    log_scale = _mean([votes[index] for index in camp])
    agrees = agreeing(votes, log_scale)
    return log_scale, [index in camp and agrees[index] for index in range(len(votes))]


def agreeing(votes: Sequence[ScaleVote], log_scale: float) -> list[bool]:
    """Return which votes do not contradict a scale."""
    return [abs(vote.log_scale - log_scale) < GATE * vote.sigma for vote in votes]


def vote_check(vote: ScaleVote, log_scale: float, *, agrees: bool) -> PriorCheck:
    """Return how much longer a measurement is than the same length in the scene."""
    percent = 100 * math.expm1(abs(vote.log_scale - log_scale))
    allowed = 100 * math.expm1(GATE * vote.sigma)
    status = "agrees" if agrees else "disagrees"
    longer = vote.log_scale > log_scale
    note = "" if agrees else f"it says {'longer' if longer else 'shorter'} than the scene has"
    return PriorCheck(vote.prior, status, percent, allowed, "%", note)


def contradiction(vote: ScaleVote, votes: Sequence[ScaleVote]) -> PriorCheck:
    """Return how far a vote is from the one that it contradicts most."""
    other = max(votes, key=lambda other: abs(other.log_scale - vote.log_scale))
    percent = 100 * math.expm1(abs(other.log_scale - vote.log_scale))
    allowed = 100 * math.expm1(GATE * math.hypot(vote.sigma, other.sigma))
    note = (
        f"it says {math.exp(vote.log_scale):.3g} m per unit of the scene, "
        f"the {other.prior} {math.exp(other.log_scale):.3g}"
    )
    return PriorCheck(vote.prior, "disagrees", percent, allowed, "%", note)


def _camp(votes: Sequence[ScaleVote], centre: ScaleVote) -> frozenset[int]:
    return frozenset(
        index
        for index, vote in enumerate(votes)
        if abs(vote.log_scale - centre.log_scale) <= GATE * math.hypot(vote.sigma, centre.sigma)
    )


def _disorder(votes: Sequence[ScaleVote], members: frozenset[int]) -> float:
    chosen = [votes[index] for index in members]
    mean = _mean(chosen)
    return sum(((vote.log_scale - mean) / vote.sigma) ** 2 for vote in chosen)


def _mean(votes: Sequence[ScaleVote]) -> float:
    weights = [vote.sigma**-2 for vote in votes]
    return sum(w * v.log_scale for w, v in zip(weights, votes, strict=True)) / sum(weights)
