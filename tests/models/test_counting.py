"""The operations that benchmarks/forward counts as they run are those of the count by hand."""

import pytest
import torch

from benchmarks.forward import MODELS, counted_work
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.scene.plan.work import Work, encoder_work, fusion_work, heads_work
from fast3r.scene.plan.workload import Workload

SIZE = (32, 48)


def all_of(work: Work) -> float:
    return work.linear + work.attention + work.convolution


@pytest.mark.parametrize("name", ["small", "shallow"])
@pytest.mark.parametrize("chunks", [Chunks(), Chunks(2, 10, 2)])
def test_counted_operations_are_those_of_the_hand_count(name, chunks) -> None:
    model = Fast3R(MODELS[name]).eval()
    work, _ = counted_work(model, [torch.rand(1, 3, *SIZE)] * 3, chunks)
    load = Workload.uniform(3, SIZE, model.patch)
    for stage, by_hand in [("encoder", encoder_work), ("fusion", fusion_work)]:
        assert work[stage].flop == pytest.approx(all_of(by_hand(model.config, load)), rel=0.01)
    # Maps of 2 x 3 patches have an odd side, which the hand count leaves out.
    heads = all_of(heads_work(model.config, load))
    assert work["heads"].flop == pytest.approx(heads, rel=0.05)


def test_every_parameter_is_read_and_every_pointmap_written() -> None:
    model = Fast3R(MODELS["shallow"]).eval()
    work, _ = counted_work(model, [torch.rand(1, 3, *SIZE)], Chunks())
    weights = sum(p.numel() * 4 for p in model.parameters())
    outputs = 2 * 4 * 4 * SIZE[0] * SIZE[1]
    assert sum(stage.moved_bytes for stage in work.values()) > weights + outputs
