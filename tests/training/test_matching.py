"""Matches are where geometry says, and the losses on them fall as tokens agree."""

import pytest
import torch

from fast3r.models.matching import FEATURES
from fast3r.training.matching import (
    MatchingLoss,
    attention_entropy,
    chain,
    patch_match_loss,
    true_matches,
)
from tests.training.tiny import plane_sample

FIRST_PAIR = torch.tensor([[0], [1]])


@pytest.mark.parametrize("views", [2, 3, 5])
def test_every_view_is_paired_with_the_next_and_with_the_first(views: int) -> None:
    pairs = chain(views, torch.device("cpu"))
    wanted = [(v, (v + 1) % views) for v in range(views)] + [(v, 0) for v in range(2, views)]
    assert [tuple(pair) for pair in pairs.T.tolist()] == wanted


def test_matches_of_a_shifted_plane_are_shifted() -> None:
    target = true_matches(plane_sample(8), 8, FIRST_PAIR).target.view(4, 6)
    assert (target[:, 0] == -1).all()  # these left the image
    assert target[:, 1:].tolist() == torch.arange(24).view(4, 6)[:, :5].tolist()


def test_a_point_behind_something_has_no_match() -> None:
    sample = plane_sample(0)
    sample.points[0, 1, :, :24] *= 0.5  # a nearer surface hides the left half in the second view
    target = true_matches(sample, 8, FIRST_PAIR).target.view(4, 6)
    assert (target[:, :3] == -1).all()
    assert (target[:, 3:] >= 0).all()


def test_distinct_descriptors_that_agree_match_perfectly() -> None:
    tokens = torch.eye(24).expand(1, 2, 24, 24)
    loss = MatchingLoss(24)
    torch.nn.init.eye_(loss.project.weight)
    torch.nn.init.zeros_(loss.project.bias)
    value, accuracy = loss(tokens, true_matches(plane_sample(0), 8, FIRST_PAIR))
    assert accuracy == 1
    assert value < 1e-3


def test_a_head_that_looks_at_the_matches_has_no_entropy() -> None:
    matches = true_matches(plane_sample(0), 8, FIRST_PAIR)
    one_hot = 30 * torch.eye(24).repeat(2, 1)  # (views x patches, channels)
    qkv = torch.cat((one_hot, one_hot, one_hot), dim=-1)[None]
    assert attention_entropy(qkv, 1, matches, 2) < 1e-3
    turned = torch.cat((one_hot, one_hot.roll(1, dims=1), one_hot), dim=-1)[None]
    assert attention_entropy(turned, 1, matches, 2) > 10


def test_without_any_match_the_loss_is_zero_and_has_a_gradient() -> None:
    sample = plane_sample(0)
    sample.valid[:] = False
    tokens = torch.rand(1, 2, 24, 8, requires_grad=True)
    value, accuracy = MatchingLoss(8)(tokens, true_matches(sample, 8, FIRST_PAIR))
    (gradient,) = torch.autograd.grad(value, tokens)
    assert value == accuracy == 0
    assert (gradient == 0).all()


def test_places_inside_patches_are_told_to_the_pixel() -> None:
    matches = true_matches(plane_sample(3), 8, FIRST_PAIR)  # shifted by three pixels of eight
    seen = matches.target >= 0
    assert seen.any()
    assert torch.allclose(matches.offset[seen].abs(), torch.tensor([3 / 8, 0.0]), atol=1e-4)
    assert (matches.offset[~seen] == 0).all()


def test_features_that_agree_and_know_the_place_have_hardly_any_loss() -> None:
    features = torch.zeros(1, 2, 24, FEATURES)
    features[..., :24] = torch.eye(24)
    loss, figures = patch_match_loss(features, true_matches(plane_sample(0), 8, FIRST_PAIR))
    assert loss < 1e-3
    assert figures["patch_accuracy"] == 1
    assert figures["patch_place"] < 1e-3


def test_a_patch_that_is_not_seen_should_match_none() -> None:
    matches = true_matches(plane_sample(8), 8, FIRST_PAIR)  # the first column leaves the image
    features = torch.zeros(1, 2, 24, FEATURES)
    features[..., :24] = torch.eye(24)
    second = torch.eye(24).view(4, 6, 24).roll(-1, dims=1)  # each sees what was to its right
    features[0, 1, :, :24] = second.flatten(0, 1)
    wrong, _ = patch_match_loss(features.clone(), matches)  # the last column sees the first one
    second[:, 5] = 0
    features[0, 1, :, :24] = second.flatten(0, 1)
    right, _ = patch_match_loss(features, matches)
    assert wrong > right


def test_without_any_point_the_loss_of_patches_is_zero() -> None:
    sample = plane_sample(0)
    sample.valid[:] = False
    features = torch.randn(1, 2, 24, FEATURES, requires_grad=True)
    loss, _ = patch_match_loss(features, true_matches(sample, 8, FIRST_PAIR))
    (gradient,) = torch.autograd.grad(loss, features)
    assert loss == 0
    assert (gradient == 0).all()
