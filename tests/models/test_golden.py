"""The network against the numbers of the reference (tests/data/golden/NOTES.md)."""

from operator import methodcaller

import pytest
import torch

from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.models.prediction import joined

TINY_CASES = [
    ("n1_landscape", "config", "n1_landscape"),
    ("n2_landscape", "config", "n2_landscape"),
    ("n3_landscape", "config", "n3_landscape"),
    ("n2_portrait", "config", "n2_portrait"),
    ("n3_mixed", "config", "n3_mixed"),
    ("n2_batch2", "config", "n2_batch2"),
    ("attnbias_n2", "config_attnbias", "n2_landscape"),
    ("sequential_ids_n3", "config_sequential_ids", "n3_landscape"),
    ("fulldpt_n2_landscape", "config_fulldpt", "fulldpt_n2_landscape"),
    ("fulldpt_n2_mixed", "config_fulldpt", "fulldpt_n2_mixed"),
]


@pytest.mark.parametrize(("case", "config", "inputs"), TINY_CASES)
@torch.inference_mode()
def test_pointmaps_equal_those_of_the_reference(golden, case, config, inputs) -> None:
    ids = None if "sequential" in config else golden.ids(inputs)
    predictions = golden.model(config)(golden.images(inputs), ids)
    assert golden.excess(predictions, case, torch.float32) < 1


@pytest.mark.parametrize("case", ["n3_mixed", "n2_batch2"])
@torch.inference_mode()
def test_pointmaps_in_small_chunks_equal_those_of_the_reference(golden, case) -> None:
    predictions = golden.model()(golden.images(case), golden.ids(case), chunks=Chunks(1, 7, 1))
    assert golden.excess(predictions, case, torch.float32) < 1


def test_pointmaps_with_gradients_equal_those_of_the_reference(golden) -> None:
    predictions = golden.model()(golden.images("n3_mixed"), golden.ids("n3_mixed"))
    assert predictions[0].world.points.requires_grad
    assert golden.excess(predictions, "n3_mixed", torch.float32) < 1


@torch.inference_mode()
def test_pointmaps_in_float64_equal_those_of_the_reference(golden) -> None:
    images = [image.double() for image in golden.images("n2_landscape")]
    predictions = golden.model().double()(images, golden.ids("n2_landscape"))
    assert golden.excess(predictions, "n2_landscape_fp64", torch.float64) < 1


@torch.inference_mode()
def test_bfloat16_autocast_errs_no_more_than_the_reference_does(golden) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predictions = golden.model()(golden.images("n2_landscape"), golden.ids("n2_landscape"))
    golden.check_rounding(predictions)


@pytest.mark.parametrize("case", ["manyar_b1_portrait", "manyar_b2_batchmixed"])
@torch.inference_mode()
def test_portraits_that_training_stored_lying_down_equal_the_reference(golden, case) -> None:
    arrays, model = golden.case(case), golden.model("config_manyar")
    samples = []
    for b, shape in enumerate(arrays["view0_true_shape"]):
        lying = shape[0] > shape[1]
        images = [image[b : b + 1] for image in golden.images(case)]
        images = [image.mT if lying else image for image in images]
        predictions = model(images, golden.ids(case)[b : b + 1])
        turn = methodcaller("transpose", 1, 2)
        samples.append([p.mapped(turn) if lying else p for p in predictions])
    together = [joined(views) for views in zip(*samples, strict=True)]
    assert golden.excess(together, case, torch.float32) < 1


@torch.inference_mode()
def test_encoder_equals_the_reference(golden) -> None:
    found = golden.model().encoder(torch.cat(golden.images("n2_landscape")))
    _close(found, golden.case("n2_landscape")["enc_feat"])


@torch.inference_mode()
def test_levels_for_the_heads_equal_those_of_the_reference(golden) -> None:
    tokens = golden.model().tokens(golden.images("n2_landscape"), golden.ids("n2_landscape"))
    for depth, level in zip((0, 6, 9, 12), tokens.levels, strict=True):
        _close(level, golden.case("n2_landscape")[f"dec_hook_{depth}"])


@pytest.mark.parametrize(
    ("head", "output"),
    [
        ("world_head", "downstream_head_raw_first_call"),
        ("local_head", "downstream_head_local_raw_first_call"),
    ],
)
@torch.inference_mode()
def test_raw_output_of_the_heads_equals_that_of_the_reference(golden, head, output) -> None:
    case = golden.case("n2_landscape")
    levels = [case[f"dec_hook_{depth}"].unflatten(1, (2, -1))[0] for depth in (0, 6, 9, 12)]
    _close(getattr(golden.model(), head).raw(levels, (3, 4)), case[output])


def test_published_architecture_has_the_published_number_of_parameters(golden) -> None:
    with torch.device("meta"):
        model = Fast3R(golden.config("config_released"))
    unread = 2 * 1_180_160  # refinenet4.resConfUnit1 of each head, which no forward pass reads
    assert sum(p.numel() for p in model.parameters()) == 647_551_368 - unread
    assert model.config == Fast3RConfig()


@pytest.mark.slow
@torch.inference_mode()
def test_published_architecture_equals_the_reference(golden) -> None:
    case = "released_n2_landscape"
    predictions = golden.model("config_released")(golden.images(case), golden.ids(case))
    assert golden.excess(predictions, case, torch.float32) < 1


def _close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=5e-4)
