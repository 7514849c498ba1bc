"""Which views show the same things."""

from pathlib import Path

import torch

from fast3r.models.checkpoints import load_model
from fast3r.scene.living.choosing import best_for_all, likeness, patch_features
from fast3r.views.load import load_views

PHOTOS = Path("examples/photos")


def test_photos_of_one_thing_are_more_alike_than_those_of_two() -> None:
    model = load_model("small")
    folders = [sorted((PHOTOS / name).glob("*.jpg"))[:4] for name in ("banana", "buddha")]
    views = [view for files in folders for view in load_views(files, size=128)]
    features = patch_features(views, model)
    scores = likeness(features, features)
    within = torch.cat((scores[:4, :4].flatten(), scores[4:, 4:].flatten()))
    across = scores[:4, 4:].flatten()
    assert within.min() > across.max()
    torch.testing.assert_close(scores, scores.mT)


def test_each_newcomer_has_its_turn() -> None:
    scores = torch.tensor([[0.9, 0.8, 0.1, 0.2], [0.3, 0.8, 0.1, 0.9]])
    assert best_for_all(scores, 2) == [0, 3]
    assert best_for_all(scores, 9) == [0, 3, 1, 2]


def test_a_candidate_without_a_score_is_never_taken() -> None:
    scores = torch.tensor([[0.9, -torch.inf, 0.1], [0.3, -torch.inf, 0.5]])
    assert best_for_all(scores, 3) == [0, 2]
