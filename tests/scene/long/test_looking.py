from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fast3r.scene.long.looking import describe, digest_of, plain, standardised
from fast3r.views.load import load_views
from fast3r.views.view import View
from tests.scene.playback import a_random_model, a_view

VIEW = a_view(1, 480, 640, 560.0).view


@pytest.mark.parametrize(
    "changed",
    [
        replace(VIEW, pixels=VIEW.pixels + 1),
        replace(VIEW, name="other.jpg"),
        replace(VIEW, mask=torch.ones(VIEW.height, VIEW.width, dtype=torch.bool)),
        replace(VIEW, original_from_network=2 * VIEW.original_from_network),
        replace(VIEW, original_width=641),
        replace(VIEW, camera_key="phone"),
    ],
)
def test_digest_changes_with_what_a_pass_takes_from_a_view(changed: View) -> None:
    assert digest_of(changed) != digest_of(VIEW)


def test_digest_does_not_change_with_where_a_view_was_read() -> None:
    assert digest_of(replace(VIEW, source=Path("elsewhere.jpg"), time_s=3.0)) == digest_of(VIEW)


def test_a_lazy_view_becomes_an_equal_one_that_holds_its_pixels(tmp_path: Path) -> None:
    photos = Path(__file__).parents[3] / "examples" / "photos" / "banana"
    options = {"size": 64, "patch": 8}
    lazy = load_views(photos, lazy_above=0, **options)[0]
    eager = load_views(photos, **options)[0]
    held = plain(lazy, **options)
    assert type(held) is View
    assert digest_of(held) == digest_of(eager)


def noise(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 3, 4, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (VIEW.height, VIEW.width), mode="bicubic")
    return (fine[0].permute(1, 2, 0).clamp(0, 1) * 255).to(torch.uint8)


def test_a_view_is_most_like_its_slightly_brighter_copy() -> None:
    model = a_random_model()
    pictures = [noise(seed) for seed in range(8)]
    pictures.append((pictures[3].float() * 1.05).clamp(max=255).to(torch.uint8))
    views = [replace(VIEW, pixels=pixels, mask=None) for pixels in pictures]
    descriptors = standardised(torch.stack([describe(view, model) for view in views]))
    similar = descriptors @ descriptors.mT
    torch.testing.assert_close(similar.diagonal(), torch.ones(9))
    assert (similar - 2 * torch.eye(9)).argmax(dim=1)[3] == 8
