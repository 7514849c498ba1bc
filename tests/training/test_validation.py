"""A perfect prediction is measured as perfect, and pictures show a scene from the first step on."""

import pytest
import torch

from fast3r.data.sample import Sample, frame_points
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.training.losses import PointmapLoss, Terms
from fast3r.training.validation import Validation
from tests.training.tiny import plane_sample

TERMS = Terms(torch.ones(()), {"pointmap": torch.ones(())})


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Two scenes of two views, moved sideways by 8 and by 12 pixels."""
    scenes = zip(*(vars(plane_sample(shift)).values() for shift in (8, 12)), strict=True)
    return Sample(*(torch.cat(parts) for parts in scenes))


def perfect(sample: Sample) -> list[Prediction]:
    world = frame_points(sample.points, sample.world_from_camera[:, :1])
    local = frame_points(sample.points, sample.world_from_camera)
    sure = torch.where(sample.valid, 5.0, 1.0)
    return [
        Prediction(Pointmap(world[:, v], sure[:, v]), Pointmap(2 * local[:, v], sure[:, v]))
        for v in range(2)
    ]


def test_a_perfect_prediction_has_no_error(sample: Sample) -> None:
    found = Validation(pictures=1)
    terms = PointmapLoss()(perfect(sample), sample)
    found.add(perfect(sample), sample, terms)
    figures = found.figures()
    assert figures["registered"] == 1
    assert (figures["rra15"], figures["rta15"]) == (1, 1)
    assert figures["auc30"] > 0.95
    assert figures["rotation_deg"] < 0.5
    assert figures["focal_error"] < 0.02
    assert figures["depth_abs_rel"] < 0.02
    assert figures["pointmap"] == pytest.approx(terms.total.item())
    (drawn,) = found.pictures
    assert set(drawn) == {"depth", "points"}
    assert drawn["depth"].height == 2 * 120


def test_a_prediction_of_nothing_is_drawn_and_counts_as_wrong(sample: Sample) -> None:
    point = Pointmap(torch.full((2, 32, 48, 3), 0.5), torch.ones(2, 32, 48))
    found = Validation(pictures=2)
    found.add([Prediction(point, point)] * 2, sample, TERMS)
    assert found.figures()["rta15"] < 0.5
    assert len(found.pictures) == 2


def test_a_model_without_local_head_is_measured_by_its_world_map(sample: Sample) -> None:
    found = Validation(pictures=1)
    worldly = [Prediction(p.world, None) for p in perfect(sample)]
    found.add(worldly, sample, TERMS)
    assert found.figures()["rra15"] == 1
    assert len(found.pictures) == 1
