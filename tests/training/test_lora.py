"""Adapters begin as nothing, learn beside what is frozen, and end as plain weights."""

import shutil
from pathlib import Path

import jaxtyping
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fast3r.models.checkpoints import load_model, save_model
from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.models.low_rank import merged_state_dict
from fast3r.training.lora import (
    LoraLinear,
    add_lora,
    load_lora,
    lora_state_dict,
    merge_lora,
    save_lora,
)

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


def trained(**options) -> Fast3R:
    model = build()
    add_lora(model, rank=4, alpha=8.0, **options)
    train(model)
    return model


def test_the_model_is_the_same_to_begin_with() -> None:
    model = build()
    before = outputs(model)
    add_lora(model)
    assert torch.equal(outputs(model), before)


def test_training_changes_the_adapters_only() -> None:
    model = build()
    before = {name: p.clone() for name, p in model.named_parameters()}
    add_lora(model, rank=4)
    train(model)
    for name, parameter in model.named_parameters():
        if name.endswith((".up", ".down")):
            assert parameter.grad is not None
            assert parameter.grad.abs().max() > 0
        else:
            assert torch.equal(parameter, before[name.replace(".frozen", "")])


def test_merged_weights_do_what_the_adapters_did() -> None:
    model = trained()
    before = outputs(model)
    assert (before - outputs(build())).abs().max() > 1e-3
    merge_lora(model)
    torch.testing.assert_close(outputs(model), before, rtol=1e-10, atol=1e-10)


def test_a_merged_model_is_a_plain_one_with_nothing_frozen() -> None:
    model = trained()
    merge_lora(model)
    assert list(model.state_dict()) == list(build().state_dict())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(isinstance(module, LoraLinear) for module in model.modules())


def test_a_merged_model_is_saved_and_loaded_like_any(tmp_path) -> None:
    model = trained()
    merge_lora(model)
    model.float()
    save_model(model, tmp_path / "tuned.safetensors")
    found = load_model(tmp_path / "tuned.safetensors", device="cpu")
    assert torch.equal(outputs(found), outputs(model.eval()))


def test_weights_of_a_training_checkpoint_become_plain_ones() -> None:
    model = trained()
    found = merged_state_dict({f"model.{name}": t for name, t in model.state_dict().items()})
    merge_lora(model)
    assert found.keys() == {f"model.{name}" for name in model.state_dict()}
    for name, tensor in model.state_dict().items():
        assert torch.equal(found[f"model.{name}"], tensor)


def test_plain_weights_stay_as_they_are() -> None:
    state = build().state_dict()
    found = merged_state_dict(state)
    assert all(found[name] is tensor for name, tensor in state.items())


def test_adapters_are_saved_alone_and_loaded_beside_the_same_model(tmp_path) -> None:
    model = trained()
    save_lora(model, tmp_path / "lora.safetensors")
    other = build()
    load_lora(other, tmp_path / "lora.safetensors")
    assert torch.equal(outputs(other), outputs(model))
    names = load_file(tmp_path / "lora.safetensors").keys()
    assert {name.rpartition(".")[2] for name in names} == {"up", "down", "scale"}


def test_loaded_adapters_can_be_trained_on(tmp_path) -> None:
    model = trained(train_heads=True)
    save_lora(model, tmp_path / "lora.safetensors")
    other = build()
    load_lora(other, tmp_path / "lora.safetensors")
    assert list(lora_state_dict(other)) == list(lora_state_dict(model))
    train(model, steps=1)
    train(other, steps=1)
    assert torch.equal(outputs(other), outputs(model))


@pytest.mark.parametrize("heads", [True, False])
def test_heads_are_trained_where_asked_for(heads) -> None:
    before = build().state_dict()
    model = trained(train_heads=heads)
    for name in ("world_head.out3.weight", "local_head.out3.weight"):
        assert torch.equal(model.state_dict()[name], before[name]) is not heads
        assert (name in lora_state_dict(model)) is heads


def test_adapters_are_where_asked_for() -> None:
    model = build()
    add_lora(model, layers=["qkv"], stacks=["fusion"])
    adapted = [name for name, m in model.named_modules() if isinstance(m, LoraLinear)]
    assert adapted == [f"fusion.blocks.{k}.qkv" for k in range(4)]


def test_adapters_are_a_small_part_of_a_large_model() -> None:
    with torch.device("meta"):
        model = Fast3R()
        add_lora(model, rank=16)
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
    add_lora(model, rank=4)
    before = outputs(model)
    with torch.autocast("cpu", torch.bfloat16):
        train(model)
    assert all(p.dtype == torch.float32 for p in lora_state_dict(model).values())
    assert (outputs(model) - before).abs().max() > 1e-3


def test_a_change_is_not_lost_to_half_precision_on_the_way() -> None:
    model = build(torch.bfloat16)
    add_lora(model, rank=1, alpha=1.0)
    layer = model.fusion.blocks[0].qkv
    with torch.no_grad():
        layer.frozen.weight.fill_(1.0)
        layer.up.fill_(1 + 2**-7)
        layer.down.fill_(1 + 2**-7)
    merge_lora(model)
    exact = 1 + (1 + 2**-7) ** 2
    wanted = torch.full((), exact).to(torch.bfloat16)
    assert torch.equal(model.fusion.blocks[0].qkv.weight[0, 0], wanted)


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
    add_lora(model, rank=4)
    model.set_gradient_checkpointing()
    parallel = nn.parallel.DistributedDataParallel(model)
    made = parallel([view + rank for view in photos()], IDS)
    loss = torch.stack([p.world.points.square().mean() + p.local.points.mean() for p in made]).sum()
    loss.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0).step()
    save_lora(model, folder / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_learn_the_same_adapters_together(tmp_path) -> None:
    torch.multiprocessing.spawn(work, (tmp_path,), nprocs=2)
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    begun = build()
    add_lora(begun, rank=4)
    for name, tensor in lora_state_dict(begun).items():
        assert torch.equal(first[name], second[name])
        assert torch.equal(first[name], tensor) is not name.endswith(".up")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "the rank of adapters must be at least 1, got 0"),
        ({"layers": ()}, r"layers must be some of qkv, proj, fc1, fc2, got \[\]"),
        ({"layers": ["query"]}, r"layers must be some of .*, got \['query'\]"),
        ({"stacks": ["decoder"]}, r"stacks must be some of encoder, fusion, got \['decoder'\]"),
    ],
)
def test_choices_that_leave_nothing_to_adapt_are_refused(options, message, monkeypatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=message):
        add_lora(build(), **options)


def test_a_second_set_of_adapters_is_refused(tmp_path) -> None:
    model = trained()
    save_lora(model, tmp_path / "lora.safetensors")
    with pytest.raises(ValueError, match="has adapters already; fold them in with merge_lora"):
        add_lora(model)
    with pytest.raises(ValueError, match="has adapters already; fold them in with merge_lora"):
        load_lora(model, tmp_path / "lora.safetensors")


def test_a_model_without_adapters_has_none_to_save(tmp_path) -> None:
    with pytest.raises(ValueError, match="no adapters to save; give it some with add_lora"):
        save_lora(build(), tmp_path / "lora.safetensors")


def test_adapters_of_another_model_are_refused(tmp_path) -> None:
    save_lora(trained(), tmp_path / "lora.safetensors")
    wanted = r"lora.safetensors is not of this model: fusion.blocks.0.\S+ is \w+, not \(\w+, \w+\)"
    with pytest.raises(ValueError, match=wanted):
        load_lora(build(width=32), tmp_path / "lora.safetensors")
