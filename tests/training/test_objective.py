"""The named terms: each with its weight, without waiting for the device, and all differentiable."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fast3r.models.config import Fast3RConfig, HeadConfig
from fast3r.models.fast3r import Fast3R
from fast3r.training.config import LossConfig
from fast3r.training.losses import Terms
from fast3r.training.objective import Objective
from tests.training.tiny import plane_sample, tiny_config

ALL = LossConfig(pose_consistency=0.5, normals=0.1, matching=0.3, attention=0.2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Fast3R:
    torch.manual_seed(0)
    return Fast3R(tiny_config(tmp_path_factory.mktemp("run")).model)


def run(config: LossConfig, model: Fast3R, *, share: float = 0.0) -> Terms:
    torch.manual_seed(1)
    objective = Objective(config, model)
    return objective(model, plane_sample(8), share=share, seed=3, half_precision=False)


def test_by_default_only_the_pointmaps_count(model: Fast3R) -> None:
    terms = run(LossConfig(), model)
    torch.testing.assert_close(terms.total, terms.figures["pointmap"])
    assert set(terms.figures) == {
        "loss", "pointmap", "world_loss", "world_error", "local_loss", "local_error",
    }  # fmt: skip


def test_the_total_is_the_weighted_sum_of_the_terms(model: Fast3R) -> None:
    found = run(ALL, model)
    f = found.figures
    wanted = f["pointmap"] + 0.5 * f["pose_consistency"] + 0.1 * f["normals"]
    wanted = wanted + 0.3 * f["matching"] + 0.2 * f["attention"]
    torch.testing.assert_close(found.total.detach(), wanted)
    torch.testing.assert_close(f["loss"], wanted)


def test_the_terms_on_matches_fade_to_a_tenth(model: Fast3R) -> None:
    alone = run(LossConfig(), model).total
    first, last = (run(LossConfig(matching=1), model, share=s).total - alone for s in (0.0, 1.0))
    torch.testing.assert_close(last, 0.1 * first)


def test_every_term_reaches_the_weights(model: Fast3R) -> None:
    for name in ("pose_consistency", "normals", "matching", "attention"):
        with_term = run(LossConfig(**{name: 1.0}), model).total
        (other,) = torch.autograd.grad(with_term, model.encoder.patch_embed.weight)
        (plain,) = torch.autograd.grad(
            run(LossConfig(), model).total, model.encoder.patch_embed.weight
        )
        assert not torch.equal(other, plain), name


def test_gradient_checkpointing_changes_no_gradient(model: Fast3R) -> None:
    gradients = []
    for parts in ((), ("encoder", "fusion", "heads")):
        model.set_gradient_checkpointing(parts)
        total = run(ALL, model).total
        gradients.append(torch.autograd.grad(total, list(model.parameters())))
    model.set_gradient_checkpointing(())
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain)


@pytest.mark.parametrize(
    ("everything", "heads", "inside"),
    [
        (True, True, torch.bfloat16),
        (True, False, torch.float32),
        (False, True, torch.float32),
    ],
)
def test_heads_compute_in_half_precision_where_asked_and_pointmaps_never(
    model: Fast3R, everything: bool, heads: bool, inside: torch.dtype
) -> None:
    seen = {}
    hooks = [
        model.local_head.out1.register_forward_hook(lambda *call: seen.update(conv=call[2].dtype)),
        model.local_head.register_forward_hook(lambda *call: seen.update(made=call[2])),
    ]
    half = {"half_precision": everything, "half_precision_heads": heads}
    terms = Objective(ALL, model)(model, plane_sample(8), share=0.0, seed=3, **half)
    for hook in hooks:
        hook.remove()
    assert seen["conv"] == inside
    assert seen["made"].points.dtype == seen["made"].confidence.dtype == torch.float32
    assert terms.total.dtype == torch.float32


class _Reads(TorchDispatchMode):
    """Counts the operations that bring a value to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.name() in ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero"):
            self.names.append(func.name())
        return func(*args, **(kwargs or {}))


def test_no_value_is_read_on_the_host(model: Fast3R) -> None:
    with _Reads() as reads:
        run(ALL, model).total.backward()
    model.zero_grad()
    assert reads.names == []


@pytest.mark.parametrize("views", [slice(0, 1), slice(None)])
def test_views_without_any_surface_give_finite_gradients(model: Fast3R, views: slice) -> None:
    sample = plane_sample(8)
    sample.valid[:, views] = False
    objective = Objective(ALL, model)
    total = objective(model, sample, share=0.0, seed=3, half_precision=False).total
    assert total.isfinite()
    assert all(g.isfinite().all() for g in torch.autograd.grad(total, list(model.parameters())))


def test_pose_consistency_needs_a_local_head(model: Fast3R) -> None:
    config = model.config
    worldly = Fast3R(Fast3RConfig(config.encoder, config.fusion, HeadConfig(8, 8, (8,) * 4, False)))
    with pytest.raises(ValueError, match=r"needs a model with model\.head\.local=true"):
        Objective(ALL, worldly)
    assert set(run(LossConfig(normals=1), worldly).figures) == {
        "loss", "pointmap", "world_loss", "world_error", "normals",
    }  # fmt: skip
