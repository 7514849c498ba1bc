import multiprocessing

import numpy as np
import pytest
import torch

from fast3r.data.config import Shape
from fast3r.data.sample import Sample
from fast3r.data.steps import StepLoader, Stream, count_patches, dice_at, scenes_within


class Counting(Stream):
    """Tells in its images which step it was asked for, and in its poses which process made it."""

    def __init__(self, run_length: int = 1) -> None:
        self.run_length = run_length

    def __getitem__(self, step: int) -> Sample:
        process = multiprocessing.current_process().pid
        return Sample(
            images=torch.full((1, 1, 3, 1, 1), float(step)),
            points=torch.zeros(1, 1, 1, 1, 3),
            valid=torch.ones(1, 1, 1, 1, dtype=torch.bool),
            intrinsics=torch.eye(3)[None, None],
            world_from_camera=torch.full((1, 1, 4, 4), float(process or 0)),
        )


def _steps(loader: StepLoader) -> list[int]:
    return [int(sample.images.flatten()[0]) for sample in loader]


@pytest.mark.parametrize("run_length", [1, 2, 3])
@pytest.mark.parametrize(("first", "last"), [(0, 7), (3, 8), (5, 6), (4, 4)])
def test_every_step_comes_once_and_in_order(run_length: int, first: int, last: int) -> None:
    loader = StepLoader(Counting(run_length), first, last)
    assert _steps(loader) == list(range(first, last))
    assert len(loader) == last - first


def test_a_loader_can_be_read_again() -> None:
    loader = StepLoader(Counting(), 2, 5)
    assert _steps(loader) == _steps(loader) == [2, 3, 4]


def test_workers_keep_the_order_and_steps_of_a_run_share_one() -> None:
    samples = list(StepLoader(Counting(2), 1, 8, workers=2))
    assert [int(sample.images.flatten()[0]) for sample in samples] == list(range(1, 8))
    makers = [int(sample.world_from_camera.flatten()[0]) for sample in samples]
    assert len(set(makers)) == 2
    assert makers[1] == makers[2] != makers[3] == makers[4]


def test_loading_leaves_the_random_numbers_of_training_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    list(StepLoader(Counting(), 0, 3, workers=1))
    assert torch.equal(torch.rand(3), expected)


def test_dice_of_equal_places_agree_and_of_others_do_not() -> None:
    places = [(), (0,), (0, 0), (1,), (0, 1), (1, 0), (0, 1, 0)]
    throws = {dice_at(seed, *place).random() for seed in (0, 1) for place in places}
    assert len(throws) == 2 * len(places)
    assert dice_at(5, 2, 3).random() == dice_at(5, 2, 3).random()


def test_dice_of_neighbouring_steps_are_independent() -> None:
    throws = np.array([dice_at(0, step).random() for step in range(2000)])
    assert abs(np.corrcoef(throws[:-1], throws[1:])[0, 1]) < 0.06
    assert throws.mean() == pytest.approx(0.5, abs=0.03)


def test_scenes_fill_the_tokens_and_are_never_none() -> None:
    assert count_patches(Shape(32, 48), 16) == 6
    assert scenes_within(100, 4, Shape(32, 48), 16) == 4
    assert scenes_within(5, 4, Shape(32, 48), 16) == 1
