"""The learning rate over a run, by the share of the run that is behind."""

import math


def rate_factor(share: float, *, warmup: float, end: float, tick: float = 0.0) -> float:
    """Return what the peak learning rate is multiplied with: a linear rise, then half a cosine.

    With `tick` 1 / steps the rates are those of the paper's run: 0 at the first step, the peak at
    the last step of the warm-up.

    Args:
        share: Of the run that is done, in steps or in time; in [0, 1].
        warmup: Share over which the rate rises.
        end: The factor at the end of the run.
        tick: Share of one step; 0 where the run is measured in time.
    """
    if share < warmup:
        return min(1.0, share / max(warmup - tick, 1e-12))
    place = min(1.0, (share - warmup) / max(1 - warmup, 1e-12))
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * place))
