"""What the network promises, whatever its weights."""

import copy
import dataclasses
from operator import itemgetter

import pytest
import torch
from torch import Tensor

from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.models.prediction import Prediction
from tests.models.conftest import BUNDLED_KIND, assert_same, images_of, parts

SIZES = [(32, 48), (48, 32), (32, 48), (32, 32), (32, 48), (48, 32)]
IDS = torch.tensor([[0, 17, 999, 4, 250, 31]])


def full_masks(sizes: list[tuple[int, int]], batch: int = 1) -> list[Tensor]:
    return [torch.ones(batch, *size, dtype=torch.bool) for size in sizes]


def sample(predictions: list[Prediction], at: slice) -> list[Prediction]:
    return [prediction.mapped(itemgetter(at)) for prediction in predictions]


@pytest.fixture(params=["published", "alternate"])
def model(request, golden, tiny) -> Fast3R:
    """A model of the published kind, and one of the bundled kind."""
    return tiny if request.param == "published" else golden.fill(Fast3R(BUNDLED_KIND)).eval()


@pytest.mark.parametrize("chunks", [Chunks(1, 1, 1), Chunks(2, 5, 3), Chunks(4, 7, 2)])
@pytest.mark.parametrize("batch", [1, 2])
@torch.inference_mode()
def test_chunk_sizes_do_not_change_the_result(model, chunks, batch) -> None:
    images, ids = images_of(SIZES, batch), IDS.repeat(batch, 1)
    wanted = model(images, ids, chunks=Chunks(100, 10**6, 100))
    assert_same(model(images, ids, chunks=chunks), wanted)


@torch.inference_mode()
def test_chunk_sizes_hardly_change_the_result_in_bfloat16(model) -> None:
    half, images = copy.deepcopy(model).bfloat16(), images_of(SIZES)
    exact, whole = model(images, IDS), half(images, IDS)
    pieces = half(images, IDS, chunks=Chunks(1, 3, 1))
    for a, b, c in zip(exact, whole, pieces, strict=True):
        for want, one, other in zip(parts(a), parts(b), parts(c), strict=True):
            assert one.dtype == torch.float32
            assert (one - want).std() < 0.1 * want.std()
            # Parts are rounded in another order: no further apart than rounding itself is wrong.
            assert (one - other).std() < 2 * (one - want).std()


@torch.inference_mode()
def test_samples_of_a_batch_do_not_see_each_other(model) -> None:
    images = images_of(SIZES, batch=3)
    ids = torch.stack([IDS[0], IDS[0].flip(0), IDS[0].roll(1)])
    together = model(images, ids)
    for b in range(3):
        alone = model([image[b : b + 1] for image in images], ids[b : b + 1])
        assert_same(sample(together, slice(b, b + 1)), alone)


@torch.inference_mode()
def test_views_after_the_first_may_come_in_any_order(model) -> None:
    images = images_of(SIZES)
    order = [0, 4, 1, 5, 3, 2]
    wanted = model(images, IDS)
    found = model([images[k] for k in order], IDS[:, order])
    assert_same(found, [wanted[k] for k in order])


@torch.inference_mode()
def test_one_tensor_is_a_list_of_views(model) -> None:
    images = images_of([(32, 48)] * 3, batch=2)
    assert_same(model(torch.stack(images, dim=1), seed=3), model(images, seed=3), rtol=0, atol=0)


@torch.inference_mode()
def test_equal_seeds_give_equal_results(model) -> None:
    images = images_of(SIZES)
    first = model(images, seed=1)
    torch.manual_seed(123)
    assert_same(model(images, seed=1), first, rtol=0, atol=0)
    assert not torch.allclose(model(images, seed=2)[1].world.points, first[1].world.points)


@torch.inference_mode()
def test_images_are_not_changed(model) -> None:
    images = images_of(SIZES)
    before = [image.clone() for image in images]
    masks = full_masks(SIZES)
    masks[0][:, :16, :16] = False
    model(images, IDS, masks=masks)
    assert all(torch.equal(a, b) for a, b in zip(images, before, strict=True))


@pytest.mark.parametrize("views", [1, 2])
@torch.inference_mode()
def test_few_views_are_enough(model, views) -> None:
    predictions = model(images_of(SIZES[:views]))
    assert [p.world.points.shape[1:3] for p in predictions] == SIZES[:views]
    assert all(part.isfinite().all() for p in predictions for part in parts(p))


@torch.inference_mode()
def test_more_views_than_the_published_table_has_rows(tiny) -> None:
    predictions = tiny(torch.rand(1, 1001, 3, 16, 16))
    assert len(predictions) == 1001
    assert all(p.world.points.isfinite().all() for p in predictions)


@torch.inference_mode()
def test_stream_yields_what_forward_returns(model) -> None:
    images = images_of(SIZES)
    streamed = dict(model.stream(images, seed=2))
    assert sorted(streamed) == list(range(len(SIZES)))
    assert_same([streamed[k] for k in range(len(SIZES))], model(images, seed=2), rtol=0, atol=0)


@torch.inference_mode()
def test_outputs_go_where_they_are_sent(model) -> None:
    predictions = model(images_of(SIZES), output_device="meta")
    assert {part.device.type for p in predictions for part in parts(p)} == {"meta"}


def test_result_with_gradients_is_the_result_without(model) -> None:
    images = images_of(SIZES, batch=2)
    with torch.no_grad():
        wanted = model(images)
    found = model(images, chunks=Chunks(1, 1, 1))
    assert found[0].world.points.requires_grad
    assert_same(found, wanted)


def test_every_weight_has_a_gradient(model) -> None:
    predictions = model(images_of(SIZES))
    sum(part.sum() for p in predictions for part in parts(p)).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@torch.inference_mode()
def test_model_without_local_head_has_no_local_pointmaps(golden, tiny) -> None:
    head = dataclasses.replace(tiny.config.head, local=False)
    model = golden.fill(Fast3R(dataclasses.replace(tiny.config, head=head))).eval()
    images, masks = images_of(SIZES, batch=2), full_masks(SIZES, batch=2)
    for found in (model(images), model(images, masks=masks)):
        assert all(p.local is None for p in found)
    whole = [Prediction(p.world, None) for p in tiny(images)]
    assert_same(model(images), whole)


@pytest.mark.parametrize("patch", [8, 14, 16])
@pytest.mark.parametrize("grid", [(1, 1), (3, 2), (5, 7)])
@torch.inference_mode()
def test_every_pixel_has_a_point_for_every_patch_size(tiny, patch, grid) -> None:
    encoder = dataclasses.replace(tiny.config.encoder, patch=patch)
    model = Fast3R(dataclasses.replace(tiny.config, encoder=encoder)).eval()
    size = (grid[0] * patch, grid[1] * patch)
    predictions = model(torch.rand(2, 2, 3, *size))
    assert predictions[1].world.points.shape == (2, *size, 3)
    assert predictions[1].local.confidence.shape == (2, *size)


@torch.inference_mode()
def test_confidence_is_at_least_one(model) -> None:
    assert all(p.world.confidence.min() >= 1 for p in model(images_of(SIZES)))


@torch.inference_mode()
def test_temperature_changes_the_result(tiny) -> None:
    images = images_of(SIZES)
    wanted = tiny(images)
    fusion = dataclasses.replace(tiny.config.fusion, temperature_views=137)
    warm = Fast3R(dataclasses.replace(tiny.config, fusion=fusion)).eval()
    warm.load_state_dict(tiny.state_dict())
    assert not torch.allclose(warm(images)[1].world.points, wanted[1].world.points)
    # In training it is off.
    assert_same(warm.train()(images), wanted)


def test_default_model_is_the_published_one() -> None:
    with torch.device("meta"):
        model = Fast3R()
    assert model.config == Fast3RConfig()
    assert model.patch == 16
    assert model.device.type == "meta"


class TestMasks:
    """What is masked out, such as a person who walks, leaves no trace."""

    @pytest.fixture
    def masks(self) -> list[Tensor]:
        masks = full_masks(SIZES)
        masks[0][:, :16, :32] = False
        masks[3][:, 5:32, :] = False  # cuts patches in two: 5 of their 16 rows remain
        masks[3][:, 16:, 16:] = True
        return masks

    @torch.inference_mode()
    def test_masked_pixels_change_nothing(self, model, masks) -> None:
        images = images_of(SIZES)
        wanted = model(images, IDS, masks=masks)
        other = [
            torch.where(mask[:, None], image, noise)
            for image, mask, noise in zip(images, masks, images_of(SIZES, seed=9), strict=True)
        ]
        assert not torch.equal(images[0], other[0])
        assert_same(model(other, IDS, masks=masks), wanted, rtol=0, atol=0)

    @torch.inference_mode()
    def test_masks_of_ones_change_nothing(self, model) -> None:
        images = images_of(SIZES)
        assert_same(model(images, IDS, masks=full_masks(SIZES)), model(images, IDS))

    @torch.inference_mode()
    def test_masks_change_what_others_see(self, model, masks) -> None:
        images = images_of(SIZES)
        masked, whole = model(images, IDS, masks=masks), model(images, IDS)
        assert not torch.allclose(masked[1].world.points, whole[1].world.points)

    @torch.inference_mode()
    def test_masked_patches_leave_the_token_set(self, tiny, masks) -> None:
        tokens = tiny.tokens(images_of(SIZES), IDS, masks=masks)
        assert [view.count for view in tokens.layout.views] == [4, 6, 6, 1, 6, 6]
        assert tokens.levels[0].shape[1] == 29

    @torch.inference_mode()
    def test_samples_lose_their_own_patches(self, model, masks) -> None:
        images = images_of(SIZES, batch=2)
        both = [torch.cat([m, torch.ones_like(m)]) for m in masks]
        ids = torch.cat([IDS, IDS.roll(1, dims=1)])
        together = model(images, ids, masks=both)
        for b in range(2):
            at = slice(b, b + 1)
            alone = model([i[at] for i in images], ids[at], masks=[m[at] for m in both])
            assert_same(sample(together, at), alone)

    def test_tokens_of_a_batch_with_masks_are_refused(self, model) -> None:
        with pytest.raises(ValueError, match="make the tokens of one alone"):
            model.tokens(images_of(SIZES, batch=2), masks=full_masks(SIZES, batch=2))

    @torch.inference_mode()
    def test_chunk_sizes_do_not_change_the_result(self, model, masks) -> None:
        images = images_of(SIZES)
        wanted = model(images, IDS, masks=masks)
        assert_same(model(images, IDS, masks=masks, chunks=Chunks(1, 1, 1)), wanted)

    def test_result_with_gradients_is_the_result_without(self, model, masks) -> None:
        images = images_of(SIZES)
        with torch.no_grad():
            wanted = model(images, IDS, masks=masks)
        assert_same(model(images, IDS, masks=masks), wanted)

    def test_a_view_without_any_patch_is_refused(self, model, masks) -> None:
        masks[4][:] = False
        with pytest.raises(ValueError, match="view 4 is masked out entirely: leave it out or give"):
            model(images_of(SIZES), masks=masks)

    @pytest.mark.parametrize("batch", [1, 2])
    def test_masks_of_another_size_are_refused(self, model, batch) -> None:
        masks = full_masks(SIZES, batch)
        masks[2] = masks[2][:, :16]
        with pytest.raises(ValueError, match="masks must have the batch and size of their views"):
            model(images_of(SIZES, batch), masks=masks)

    def test_a_mask_for_each_view_is_needed(self, model) -> None:
        with pytest.raises(ValueError, match="masks must have the batch and size of their views"):
            model(images_of(SIZES), masks=full_masks(SIZES)[:-1])


@pytest.mark.parametrize("size", [(50, 64), (64, 50), (0, 64), (8, 17)])
def test_sides_that_are_no_multiple_of_the_patch_are_refused(tiny, size) -> None:
    message = f"multiples of 16 px, got {size[0]}x{size[1]}; load photos with fast3r.load_views"
    with pytest.raises(ValueError, match=message):
        tiny([torch.rand(1, 3, *size)])


def test_no_views_are_refused(tiny) -> None:
    with pytest.raises(ValueError, match="at least one view is needed, got none"):
        tiny([])


@pytest.mark.parametrize("shape", [(1, 4, 32, 32), (3, 32, 32), (2, 3, 32, 32)])
def test_views_of_another_batch_or_channels_are_refused(tiny, shape) -> None:
    found = "x".join(map(str, shape))
    with pytest.raises(ValueError, match=f"each view must be 1x3xHxW, got {found}"):
        tiny([torch.rand(1, 3, 32, 32), torch.rand(shape)])


def test_ids_of_another_number_are_refused(tiny) -> None:
    with pytest.raises(ValueError, match="view_ids must be 1x2, got 1x3"):
        tiny(images_of(SIZES[:2]), torch.tensor([[0, 1, 2]]))
