import pytest
import torch

from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.models.layers import Block, Sources
from fast3r.models.layout import layout_of
from fast3r.models.thinning import Thinning
from tests.models.conftest import BUNDLED_KIND, images_of

CPU = torch.device("cpu")
LAYOUT = layout_of([(6, 8), (6, 8), (4, 4)])


def views(count: int) -> list[torch.Tensor]:
    return images_of([(64, 96)] * count)


def world(model: Fast3R, images: list[torch.Tensor], **options) -> torch.Tensor:
    return torch.stack([prediction.world.points for prediction in model(images, **options)])


def test_first_view_is_looked_at_whole_and_the_others_in_part() -> None:
    seen = Thinning(0.25).sources(LAYOUT, CPU).tokens
    assert torch.equal(seen[:48], torch.arange(48))
    assert ((seen >= 48) & (seen < 96)).sum() == 12
    assert (seen >= 96).sum() == 4
    assert torch.equal(seen, seen.unique())


def test_tokens_that_are_looked_at_count_for_all() -> None:
    sources = Thinning(0.3).sources(LAYOUT, CPU)
    torch.testing.assert_close(sources.bias.exp().sum(), torch.tensor(float(LAYOUT.starts[-1])))
    assert (sources.bias[:48] == 0).all()


@pytest.mark.parametrize("share", [1 / 48, 0.001])
def test_every_view_keeps_a_token(share) -> None:
    seen = Thinning(share).sources(LAYOUT, CPU).tokens
    assert len(seen) == 48 + 1 + 1


def test_what_is_looked_at_lies_evenly_over_the_image() -> None:
    layout = layout_of([(1, 1), (24, 32)])
    seen = Thinning(0.25).sources(layout, CPU).tokens[1:] - 1
    picture = torch.zeros(24 * 32).index_fill(0, seen, 1).view(1, 1, 24, 32)
    in_each_block = torch.nn.functional.avg_pool2d(picture, 4) * 16
    assert in_each_block.min() >= 3
    assert in_each_block.max() <= 5


def test_masked_patches_are_not_looked_at() -> None:
    keep = [torch.ones(48, dtype=torch.bool), torch.arange(48) % 2 == 0]
    layout = layout_of([(6, 8), (6, 8)], keep)
    seen = Thinning(0.5).sources(layout, CPU).tokens
    assert len(seen) == 48 + 12
    assert seen.max() < layout.starts[-1]


@torch.no_grad()
def test_block_with_sources_is_attention_in_which_tokens_are_repeated() -> None:
    torch.manual_seed(0)
    block = Block(32, 2, mlp_ratio=4, norm_eps=1e-5)
    chosen, counts = torch.tensor([0, 3, 4]), torch.tensor([1, 2, 3])
    repeated = chosen.repeat_interleave(counts)
    tokens = torch.randn(2, 6, 32)
    every = Sources(repeated, torch.zeros(6))
    wanted = block(tokens.clone(), sources=every)
    for chunk in (None, 1, 4):
        found = block(tokens.clone(), sources=Sources(chosen, counts.log()), chunk=chunk)
        torch.testing.assert_close(found, wanted)


@torch.inference_mode()
def test_share_one_changes_nothing(tiny: Fast3R) -> None:
    exact = world(tiny, views(3))
    tiny.thinning = Thinning(1.0)
    torch.testing.assert_close(world(tiny, views(3)), exact, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_a_single_view_is_never_thinned(tiny: Fast3R) -> None:
    exact = world(tiny, views(1))
    tiny.thinning = Thinning(0.1)
    torch.testing.assert_close(world(tiny, views(1)), exact, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_views_that_are_alike_can_be_thinned_without_loss(tiny: Fast3R) -> None:
    grey = [torch.full((1, 3, 64, 96), 0.5)] * 3
    exact = world(tiny, grey)
    tiny.thinning = Thinning(0.25)
    close = (world(tiny, grey) - exact).abs().mean()
    tiny.thinning = None
    different = (world(tiny, views(3)) - exact).abs().mean()
    assert close < different / 10


@torch.inference_mode()
def test_thinning_is_off_by_default_and_can_be_turned_off_again(tiny: Fast3R) -> None:
    exact = world(tiny, views(3))
    tiny.thinning = Thinning(0.25)
    assert not torch.allclose(world(tiny, views(3)), exact)
    tiny.thinning = None
    assert torch.equal(world(tiny, views(3)), exact)


@torch.inference_mode()
def test_chunks_do_not_change_a_thinned_result(tiny: Fast3R) -> None:
    tiny.thinning = Thinning(0.25)
    wanted = world(tiny, views(4))
    found = world(tiny, views(4), chunks=Chunks(1, 5, 1))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_blocks_that_see_one_view_see_all_of_it(golden) -> None:
    model = golden.fill(Fast3R(BUNDLED_KIND)).eval()
    given: list[bool] = []
    for block in model.fusion.blocks:
        block.register_forward_pre_hook(
            lambda _, __, options: given.append("sources" in options), with_kwargs=True
        )
    model.thinning = Thinning(0.25)
    world(model, views(2))
    assert given == [True, False, True, False]


def test_gradients_flow_through_what_is_looked_at(tiny: Fast3R) -> None:
    tiny.thinning = Thinning(0.25)
    world(tiny, views(2)).sum().backward()
    gradient = tiny.fusion.blocks[0].qkv.weight.grad
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_impossible_share_is_refused(share) -> None:
    with pytest.raises(ValueError, match=r"share of the tokens in \(0, 1\], got"):
        Thinning(share)


def test_thinning_and_keys_from_elsewhere_exclude_each_other(tiny: Fast3R) -> None:
    tiny.thinning = Thinning(0.25)
    with pytest.raises(ValueError, match=r"set model.thinning = None, or use one device"):
        tiny.tokens(views(2), seen=lambda keys, values: (keys, values))


def test_a_kernel_that_cannot_weigh_keys_is_refused(tiny: Fast3R) -> None:
    tiny.attention, tiny.thinning = "flash", Thinning(0.25)
    with pytest.raises(ValueError, match="which flash cannot: use attention 'auto'"):
        tiny(views(2))


@pytest.mark.gpu
@pytest.mark.parametrize("masked", [False, True])
@torch.inference_mode()
def test_thinned_result_on_cuda_is_that_of_the_cpu(tiny: Fast3R, masked) -> None:
    tiny.thinning = Thinning(0.25)
    corner = torch.ones(1, 64, 96, dtype=torch.bool).index_fill(1, torch.arange(32), False)
    masks = [corner] * 3 if masked else None
    wanted = world(tiny, views(3), masks=masks)
    found = world(tiny.cuda(), views(3), masks=masks, output_device="cpu")
    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-2)
