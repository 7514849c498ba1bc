import dataclasses
import math

import pytest
import torch

from fast3r.models.config import FusionConfig
from fast3r.models.fusion import Fusion, draw_view_ids


@pytest.mark.parametrize("case", ["n3_landscape", "n3_mixed", "n2_batch2", "manyar_b2_batchmixed"])
def test_ids_are_drawn_as_the_reference_draws_them(golden, case) -> None:
    arrays = golden.case(case)
    generator = torch.Generator().manual_seed(int(arrays["torch_seed"]))
    seed = int(torch.randint(0, 2**32, (1,), generator=generator))
    assert torch.equal(draw_view_ids(*arrays["image_ids"].shape, seed=seed), arrays["image_ids"])


def test_ids_are_distinct_and_begin_with_the_first_row() -> None:
    for row in draw_view_ids(3, 50, seed=4):
        assert row[0] == 0
        assert len(row.unique()) == 50
        assert row.max() < 1000


def test_equal_seeds_draw_equal_ids() -> None:
    assert torch.equal(draw_view_ids(2, 9, seed=5), draw_view_ids(2, 9, seed=5))
    assert not torch.equal(draw_view_ids(2, 9, seed=5), draw_view_ids(2, 9, seed=6))


def test_drawing_ids_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    draw_view_ids(1, 5, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("views", [1000, 1001, 3000])
def test_as_many_views_as_wished_have_distinct_ids(views) -> None:
    row = draw_view_ids(1, views, seed=0)[0]
    assert len(row.unique()) == views
    assert row.max() == views - 1


def test_temperature_is_that_of_the_reference() -> None:
    config = FusionConfig(width=8, depth=4, heads=2, temperature_views=137)
    fusion = Fusion(config, 8, rope_base=100.0).eval()
    assert fusion.sharpness == pytest.approx(1.2815342290809286, rel=1e-12)
    assert fusion.sharpness / math.sqrt(64) == pytest.approx(0.16019177863511608, rel=1e-12)


def test_temperature_is_off_in_training_and_by_default() -> None:
    config = FusionConfig(width=8, depth=4, heads=2, temperature_views=137)
    assert Fusion(config, 8, rope_base=100.0).train().sharpness == 1
    cold = dataclasses.replace(config, temperature_views=None)
    assert Fusion(cold, 8, rope_base=100.0).eval().sharpness == 1
