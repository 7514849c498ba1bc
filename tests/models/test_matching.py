"""Features of patches say which see the same point, and where inside the patch."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from fast3r.models.fast3r import Fast3R
from fast3r.models.matching import FEATURES, MatchHead, find_matches
from tests.scene.playback import TINY

SAME = 64


def features(seed: int, patches: int = 12) -> torch.Tensor:
    return torch.randn(1, patches, FEATURES, generator=torch.Generator().manual_seed(seed))


def test_patches_in_another_order_are_found_there() -> None:
    first = features(0)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    there, back = find_matches(first, first[:, order])
    assert torch.equal(order[there.patch[0]], torch.arange(12))
    assert torch.equal(back.patch[0], order)
    assert there.probability.min() > 0.9


def test_what_is_not_there_is_improbable() -> None:
    there, back = find_matches(features(0), features(1))
    assert max(there.probability.max(), back.probability.max()) < 0.1


def test_places_are_products_of_point_and_patch() -> None:
    first, second = torch.zeros(2, 1, 1, FEATURES)
    first[..., 0] = second[..., 0] = 1  # they match
    first[..., SAME], first[..., SAME + 16] = 2, -2  # the point: for columns, for rows
    second[..., SAME + 32] = second[..., SAME + 48] = 1  # the patch
    there, _ = find_matches(first, second)
    assert torch.allclose(there.offset[0, 0], torch.tensor([0.5, -0.5]))


def test_the_two_directions_are_those_of_swapped_views() -> None:
    first, second = features(0), F.normalize(features(0) + 0.5 * features(1), dim=-1)
    for one, other in zip(
        find_matches(first, second), find_matches(second, first)[::-1], strict=True
    ):
        for a, b in zip(one, other, strict=True):
            assert torch.allclose(a, b)


def test_a_model_with_the_head_gives_features_of_every_patch() -> None:
    images = torch.rand(1, 3, 3, 16, 24)
    config = replace(TINY, head=replace(TINY.head, matches=True))
    torch.manual_seed(0)
    model = Fast3R(config).eval()
    predictions = model(images)
    patches = images.shape[3] * images.shape[4] // model.patch**2
    for prediction in predictions:
        assert prediction.patches is not None
        assert prediction.patches.shape == (1, patches, FEATURES)
    assert Fast3R(TINY)(images)[0].patches is None


def test_the_head_reads_the_middle_and_the_end_of_fusion() -> None:
    torch.manual_seed(0)
    head = MatchHead([16] * 4)
    levels = [torch.randn(1, 3, 16, requires_grad=True) for _ in range(4)]
    head(levels).sum().backward()
    assert [level.grad is not None for level in levels] == [False, True, False, True]
