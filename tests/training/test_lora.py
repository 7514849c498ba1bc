"""Adapters begin as nothing, learn beside what is frozen, and end as plain weights."""

import shutil
from pathlib import Path

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.models.low_rank import merged_state_dict
from fast3r.training.config import LoraConfig
from fast3r.training.lora import LoraLinear, add_lora

IDS = torch.tensor([[0, 17, 999]])


def build(dtype: torch.dtype = torch.float64, width: int = 24) -> Fast3R:
    torch.manual_seed(0)
    return Fast3R(
        Fast3RConfig(
            encoder=EncoderConfig(width=32, depth=2, heads=2),
            fusion=FusionConfig(width=width, depth=4, heads=2, alternate=True),
            head=HeadConfig(features=8, last_features=8, level_widths=(4, 8, 8, 16)),
        )
    ).to(dtype)


def photos(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = [(32, 48), (48, 32), (32, 48)]
    return [torch.rand(1, 3, *size, generator=generator, dtype=dtype) for size in sizes]


def outputs(model: Fast3R, **options) -> Tensor:
    made = model(photos(model.encoder.norm.weight.dtype), IDS, **options)
    return torch.cat([part.flatten() for p in made for part in (p.world.points, p.local.points)])


def train(model: Fast3R, steps: int = 3) -> None:
    """Take steps that move every adapter."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        outputs(model).square().mean().backward()
        optimizer.step()


def adapters(model: Fast3R) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def trained(**options) -> Fast3R:
    model = build()
    add_lora(model, LoraConfig(rank=4, alpha=8.0, **options))
    train(model)
    return model


def test_the_model_is_the_same_to_begin_with() -> None:
    model = build()
    before = outputs(model)
    add_lora(model, LoraConfig())
    assert torch.equal(outputs(model), before)


def test_training_changes_the_adapters_only() -> None:
    model = build()
    before = {name: p.clone() for name, p in model.named_parameters()}
    add_lora(model, LoraConfig(rank=4))
    train(model)
    for name, parameter in model.named_parameters():
        if name.endswith((".up", ".down")):
            assert parameter.grad is not None
            assert parameter.grad.abs().max() > 0
        else:
            assert torch.equal(parameter, before[name.replace(".frozen", "")])


@pytest.mark.parametrize("prefix", ["", "model."])
def test_merged_weights_do_in_a_plain_model_what_the_adapters_did(prefix) -> None:
    model, plain = trained(), build()
    assert (outputs(model) - outputs(plain)).abs().max() > 1e-3
    merged = merged_state_dict({f"{prefix}{name}": t for name, t in model.state_dict().items()})
    plain.load_state_dict({name.removeprefix(prefix): t for name, t in merged.items()})
    torch.testing.assert_close(outputs(plain), outputs(model), rtol=1e-10, atol=1e-10)


def test_plain_weights_stay_as_they_are() -> None:
    state = build().state_dict()
    found = merged_state_dict(state)
    assert all(found[name] is tensor for name, tensor in state.items())


@pytest.mark.parametrize("heads", [True, False])
def test_heads_are_trained_where_asked_for(heads) -> None:
    before = build().state_dict()
    model = trained(train_heads=heads)
    for name in ("world_head.out3.weight", "local_head.out3.weight"):
        assert torch.equal(model.state_dict()[name], before[name]) is not heads


def test_adapters_are_where_asked_for() -> None:
    model = build()
    add_lora(model, LoraConfig(layers=("qkv",), stacks=("fusion",)))
    adapted = [name for name, m in model.named_modules() if isinstance(m, LoraLinear)]
    assert adapted == [f"fusion.blocks.{k}.qkv" for k in range(4)]


def test_adapters_are_a_small_part_of_a_large_model() -> None:
    with torch.device("meta"):
        model = Fast3R()
        add_lora(model, LoraConfig(rank=16))
    numbers = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert numbers == 48 * 16 * ((1024 + 3072) + (1024 + 1024) + 2 * (1024 + 4096))


def test_work_in_chunks_does_the_same() -> None:
    model = trained()
    whole = outputs(model)
    with torch.inference_mode():
        torch.testing.assert_close(
            outputs(model, chunks=Chunks(1, 5, 1)), whole, rtol=1e-9, atol=1e-9
        )


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    kept, again = trained(), trained()
    again.set_gradient_checkpointing()
    train(kept, steps=1)
    train(again, steps=1)
    torch.testing.assert_close(outputs(again), outputs(kept), rtol=1e-10, atol=1e-10)


def test_adapters_learn_under_autocast() -> None:
    model = build(torch.float32)
    add_lora(model, LoraConfig(rank=4))
    before = outputs(model)
    with torch.autocast("cpu", torch.bfloat16):
        train(model)
    assert all(p.dtype == torch.float32 for p in adapters(model).values())
    assert (outputs(model) - before).abs().max() > 1e-3


def test_a_change_is_not_lost_to_half_precision_on_the_way() -> None:
    model = build(torch.bfloat16)
    add_lora(model, LoraConfig(rank=1, alpha=1.0))
    layer = model.fusion.blocks[0].qkv
    with torch.no_grad():
        layer.frozen.weight.fill_(1.0)
        layer.up.fill_(1 + 2**-7)
        layer.down.fill_(1 + 2**-7)
    exact = 1 + (1 + 2**-7) ** 2
    assert torch.equal(layer.weight[0, 0], torch.full((), exact).to(torch.bfloat16))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # those of the compiler are not ours
def test_compiled_blocks_learn_the_same(monkeypatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    plain, compiled = trained(), trained()
    for block in (compiled.encoder.blocks[0], compiled.fusion.blocks[0]):
        block.compile(dynamic=True)
    train(plain, steps=2)
    train(compiled, steps=2)
    torch.testing.assert_close(outputs(compiled), outputs(plain), rtol=1e-9, atol=1e-9)


def work(rank: int, folder: Path) -> None:
    """Train beside another process, each on photos of its own, and store the adapters."""
    store = f"file://{folder / 'meeting'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    model = build()
    add_lora(model, LoraConfig(rank=4))
    model.set_gradient_checkpointing()
    parallel = nn.parallel.DistributedDataParallel(model)
    made = parallel([view + rank for view in photos()], IDS)
    loss = torch.stack([p.world.points.square().mean() + p.local.points.mean() for p in made]).sum()
    loss.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0).step()
    torch.save(adapters(model), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_learn_the_same_adapters_together(tmp_path) -> None:
    torch.multiprocessing.spawn(work, (tmp_path,), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    begun = build()
    add_lora(begun, LoraConfig(rank=4))
    for name, tensor in adapters(begun).items():
        assert torch.equal(first[name], second[name])
        assert torch.equal(first[name], tensor) is not name.endswith(".up")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank must be above 0, got 0"),
        ({"layers": ()}, "layers and stacks must each name one at least"),
        ({"stacks": ()}, "layers and stacks must each name one at least"),
    ],
)
def test_choices_that_leave_nothing_to_adapt_are_refused(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        LoraConfig(**options)
