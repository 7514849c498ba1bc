"""Time and memory of a block."""

import sys
import time

import numpy as np
import pytest

from fast3r.evaluation.cost import lifetime_peak_gib, measured

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets the peak")


def test_seconds_are_those_of_the_block() -> None:
    with measured() as cost:
        time.sleep(0.05)
    assert 0.05 <= cost.seconds < 5


def test_a_block_that_raises_is_measured() -> None:
    costs = []

    def fails() -> None:
        with measured() as cost:
            costs.append(cost)
            time.sleep(0.01)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert costs[0].seconds >= 0.01


@linux_only
def test_each_block_has_its_own_peak() -> None:
    with measured() as large:
        np.ones(2**27, np.uint8).sum()
    with measured() as small:
        pass
    assert large.host_peak_gib > small.host_peak_gib + 0.1
    assert lifetime_peak_gib() >= 0.1


def test_without_cuda_there_is_no_peak_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with measured() as cost:
        pass
    assert cost.device_peak_gib is None
