"""Scores on procedural scenes: perfect pointmaps score perfectly, trivial ones do not."""

import torch

from fast3r.data.sample import frame_points
from fast3r.evaluation.procedural import evaluate, held_out, table
from fast3r.models.prediction import Pointmap, Prediction
from tests.scene.playback import PlayedBack

SIZE = (48, 64)


def perfect(views: int) -> list[Prediction]:
    sample = held_out(scenes=1, views=views, size=SIZE, difficulty=0.3)
    world = frame_points(sample.points, sample.world_from_camera[:, :1])[0]
    local = frame_points(sample.points, sample.world_from_camera)[0]
    # What is not valid, such as sky, gets no confidence to speak of.
    sure = torch.where(sample.valid[0], 10.0, 1e-3)[:, None]
    return [
        Prediction(Pointmap(world[v, None], sure[v]), Pointmap(local[v, None], sure[v]))
        for v in range(views)
    ]


def test_perfect_pointmaps_score_perfectly_and_trivial_answers_do_not() -> None:
    scores = evaluate(PlayedBack(perfect(3)), scenes=1, views=3, size=SIZE, difficulty=0.3)
    model, trivial = scores
    assert model.world_error < 1e-3
    assert model.depth_abs_rel < 1e-3
    assert model.poses.rra15 == 1
    assert model.poses.auc30 > 0.98
    assert trivial.world_error > 0.02
    assert trivial.depth_abs_rel > 0.05
    assert trivial.poses.auc30 < model.poses.auc30
    assert table(scores).count("\n") == 3
