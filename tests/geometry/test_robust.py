import pytest
import torch

from fast3r.geometry.robust import (
    LOG_RARE,
    even_sample,
    every_nth,
    geman_mcclure_weight,
    log_false_alarms,
    usable_weights,
    weighted_median,
)


def test_a_residual_of_one_scale_weighs_a_quarter() -> None:
    weight = geman_mcclure_weight(torch.tensor([[0.0, 4.0]]), torch.tensor([[2.0]]))
    assert weight.tolist() == [[1.0, 0.25]]


def test_with_equal_weights_the_median_is_the_middle() -> None:
    assert weighted_median(torch.tensor([5.0, 1, 3]), torch.ones(3)) == 3


def test_a_heavy_value_is_the_median() -> None:
    assert weighted_median(torch.tensor([5.0, 1, 3]), torch.tensor([9.0, 1, 1])) == 5


def test_without_weight_there_is_no_median() -> None:
    assert weighted_median(torch.ones(2, 3), torch.zeros(2, 3)).isnan().all()


def test_values_without_weight_do_not_move_the_median() -> None:
    values = torch.tensor([torch.inf, 1, 2, 3, 0])
    assert weighted_median(values, torch.tensor([0.0, 1, 1, 1, 0])) == 2


def test_a_sample_as_large_as_the_whole_is_a_permutation() -> None:
    chosen = even_sample(torch.ones(3, 50), 50, torch.Generator().manual_seed(0))
    assert chosen.sort(dim=-1).values.tolist() == [list(range(50))] * 3


def test_points_without_weight_are_never_drawn() -> None:
    weights = (torch.rand(20, 500, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    chosen = even_sample(weights, 300, torch.Generator().manual_seed(1))
    assert weights.gather(1, chosen).min() == 1


def test_points_are_drawn_in_proportion_to_their_weights() -> None:
    weights = torch.tensor([[1.0, 2, 3, 4]])
    chosen = even_sample(weights, 1000, torch.Generator().manual_seed(0))
    counts = torch.bincount(chosen[0], minlength=4)
    torch.testing.assert_close(counts, torch.tensor([100, 200, 300, 400]), rtol=0, atol=2)


def test_a_sample_of_an_image_reaches_all_columns() -> None:
    chosen = even_sample(torch.ones(1, 64 * 64), 512, torch.Generator().manual_seed(0))
    assert len((chosen % 64).unique()) > 60


def test_a_point_counts_only_if_it_is_finite_trusted_and_unmasked() -> None:
    points = torch.zeros(1, 5, 3)
    points[0, 0, 1] = torch.nan
    confidence = torch.tensor([[2.0, 2, 0, torch.nan, 2]])
    mask = torch.tensor([[True, True, True, True, False]])
    assert usable_weights(points, confidence, mask).tolist() == [[0, 2, 0, 0, 0]]


@pytest.mark.parametrize(("met", "rare"), [(3, False), (5, False), (8, True), (20, True)])
def test_few_inliers_are_chance_and_many_are_not(met: int, rare: bool) -> None:
    trials = torch.tensor([50])
    found = log_false_alarms(met / trials, trials, torch.tensor([0.002]), 8192)
    assert (found < LOG_RARE).tolist() == [rare]


@pytest.mark.parametrize("points", [1, 12288, 2**15])
def test_small_pointmaps_are_taken_whole(points) -> None:
    assert every_nth(points) == 1


@pytest.mark.parametrize(("height", "width"), [(384, 512), (512, 512), (336, 512), (1024, 1024)])
def test_of_large_pointmaps_enough_points_are_taken_and_no_columns(height, width) -> None:
    step = every_nth(height * width)
    assert 2**13 < height * width / step <= 2**15
    assert width % step
