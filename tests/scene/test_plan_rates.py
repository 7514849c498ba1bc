"""How fast this machine is."""

import time
from dataclasses import astuple

import pytest
import torch

from fast3r.models.config import SMALL
from fast3r.models.fast3r import Fast3R
from fast3r.scene.plan.memory_error import is_out_of_memory
from fast3r.scene.plan.rates import known_rates, measure_rates
from fast3r.scene.plan.work import encoder_work, fusion_work, heads_work
from fast3r.scene.plan.workload import Workload

CPU = torch.device("cpu")


def test_rates_are_measured_once_in_a_process() -> None:
    rates = measure_rates(SMALL, CPU, "float32", seconds=0.001)
    assert all(rate > 1e6 for rate in astuple(rates))
    assert known_rates(SMALL, CPU, "float32") is rates
    assert measure_rates(SMALL, CPU, "float32") is rates
    assert measure_rates(SMALL, CPU, "float32", again=True, seconds=0.001) is not rates


def test_the_probe_takes_less_than_a_second_of_work() -> None:
    begun = time.process_time()
    measure_rates(SMALL, CPU, "float32", again=True)
    assert time.process_time() - begun < 2 * torch.get_num_threads()


def test_a_machine_is_not_known_before_it_was_measured() -> None:
    other = torch.get_num_threads() + 1
    assert known_rates(SMALL, torch.device("cuda", other), "float32") is None


def counted_flop(model: Fast3R, workload: Workload) -> tuple[float, float]:
    """Operations of encoder and fusion, and of the heads, as torch counts them, less attention.

    Newer versions of torch count attention on the CPU, older ones do not.
    """
    from torch.utils.flop_counter import FlopCounterMode

    images = [torch.rand(1, 3, *size) for size in workload.sizes]
    with torch.no_grad(), FlopCounterMode(display=False) as transformer:
        tokens = model.tokens(images)
    with torch.no_grad(), FlopCounterMode(display=False) as heads:
        for _ in model.predict(tokens):
            pass
    counts = transformer.get_flop_counts()["Global"]
    products = sum(count for name, count in counts.items() if "attention" not in str(name))
    return products, heads.get_total_flops()


@pytest.mark.parametrize("sizes", [((64, 96),) * 3, ((64, 96), (96, 64), (128, 128))])
def test_operations_counted_by_hand_are_those_of_torch(sizes: tuple[tuple[int, int], ...]) -> None:
    workload = Workload(sizes, tuple(h * w // 64 for h, w in sizes), 8)
    transformer, heads = counted_flop(Fast3R(SMALL).eval(), workload)
    work = [part(SMALL, workload) for part in (encoder_work, fusion_work)]
    assert sum(w.linear for w in work) == pytest.approx(transformer, rel=0.01)
    made = heads_work(SMALL, workload)
    assert made.convolution + made.linear == pytest.approx(heads, rel=0.01)


@pytest.mark.parametrize(
    "error", [ValueError("out of memory"), RuntimeError("a bug"), OSError("no space left")]
)
def test_other_faults_are_not_lack_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)
