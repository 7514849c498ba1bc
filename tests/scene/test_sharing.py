"""Which devices can share the work, and that a scene is the same when they do."""

from dataclasses import replace

import pytest
import torch

from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Chunks
from fast3r.scene.plan.memory import count
from fast3r.scene.plan.need import Setting, need_of
from fast3r.scene.plan.situation import Situation, situation_of
from fast3r.scene.plan.workload import Workload
from fast3r.scene.run import reconstruct
from fast3r.scene.sharing import choose_devices, shared_model
from tests.scene.playback import a_random_model, a_view


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


def test_the_cpu_may_be_named_more_than_once() -> None:
    assert choose_devices(["cpu", "cpu"]) == [torch.device("cpu")] * 2


def test_cuda_is_the_first_cuda_device(two_gpus) -> None:
    wanted = [torch.device("cuda", 1), torch.device("cuda", 0)]
    assert choose_devices(["cuda:1", "cuda"]) == wanted


def test_a_gpu_that_is_named_twice_is_refused(two_gpus) -> None:
    with pytest.raises(ValueError, match=r"cuda:0 is named more than once.*name each once"):
        choose_devices(["cuda", "cuda:1", "cuda:0"])


def test_devices_of_two_kinds_are_refused(two_gpus) -> None:
    with pytest.raises(ValueError, match="must be of one kind to share work, got cuda:0, cpu"):
        choose_devices(["cuda:0", "cpu"])


def test_an_apple_gpu_shares_with_nobody(monkeypatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    with pytest.raises(ValueError, match="an Apple GPU is one device"):
        choose_devices(["mps", "mps"])


def test_no_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="no devices were named"):
        choose_devices([])


def test_a_single_device_starts_nothing() -> None:
    model = a_random_model()
    with shared_model(model, ["cpu"]) as shared:
        assert shared is model


def test_a_scene_is_the_same_from_several_devices() -> None:
    views = [a_view(seed, 480, 640 - 40 * seed, 560.0).view for seed in range(5)]
    model = a_random_model()
    alone = reconstruct(views, model, seed=2, keep_world=True)
    with shared_model(model, ["cpu", "cpu"]) as shared:
        together = reconstruct(views, shared, seed=2, keep_world=True)
    for a, b in zip(alone.world_pointmaps, together.world_pointmaps, strict=True):
        torch.testing.assert_close(a.points, b.points, rtol=1e-4, atol=1e-6)
    assert together.failures == alone.failures


def test_the_plan_knows_that_gpus_share_the_tokens() -> None:
    workload = Workload.uniform(1000, (384, 512), 16)
    counts = [count(Fast3RConfig(), workload, Chunks(), processes=n) for n in (1, 2, 4)]
    assert counts[1].levels == counts[0].levels / 2
    assert counts[2].keys_values == 1.25 * counts[0].keys_values
    here = Situation(Fast3RConfig(), workload, torch.device("cuda"), 0, None, None)
    alone, shared = (need_of(replace(here, processes=n), Setting()) for n in (1, 4))
    assert shared.device < 0.65 * alone.device
    assert shared.host == alone.host


def test_the_plan_of_a_shared_model_is_for_all_its_processes() -> None:
    views = [a_view(seed, 480, 640, 560.0).view for seed in range(2)]
    with shared_model(a_random_model(), ["cpu", "cpu"]) as shared:
        assert situation_of(views, shared).processes == 2
    assert situation_of(views, a_random_model()).processes == 1


def test_a_shared_model_stays_where_it_is() -> None:
    views = [a_view(seed, 480, 640, 560.0).view for seed in range(2)]
    with shared_model(a_random_model(), ["cpu", "cpu"]) as shared:
        shared._peers.device = torch.device("cuda", 0)
        with pytest.raises(ValueError, match="is shared from cuda:0 and cannot compute on cpu"):
            reconstruct(views, shared)
        shared._peers.device = torch.device("cpu")
