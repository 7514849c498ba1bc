"""The learning rate rises, then falls, as in the paper's run."""

from pathlib import Path

import numpy as np
import pytest

from fast3r.training.schedules import rate_factor

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "learning_rate.npz"


def test_the_rates_of_1000_steps_equal_the_reference() -> None:
    with np.load(GOLDEN) as file:
        wanted = file["lr_total1000_warm20"]
    made = [1e-4 * rate_factor(t / 1000, warmup=0.02, end=0.01, tick=1e-3) for t in range(1000)]
    np.testing.assert_allclose(made, wanted, rtol=1e-12)


def test_a_run_by_the_clock_has_the_same_shape() -> None:
    factors = [rate_factor(share, warmup=0.1, end=0.2) for share in (0, 0.05, 0.1, 0.55, 1, 2)]
    assert factors == pytest.approx([0, 0.5, 1, 0.6, 0.2, 0.2])


def test_without_a_warm_up_the_peak_comes_first() -> None:
    assert rate_factor(0, warmup=0, end=0.1, tick=0.01) == 1
