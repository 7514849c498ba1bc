"""Sets of views."""

import torch

from fast3r.views.view import SkippedPhoto, View, Views


def test_a_slice_is_a_set_of_views_that_remembers_what_was_skipped() -> None:
    pixels, skipped = torch.zeros(4, 6, 3, dtype=torch.uint8), [SkippedPhoto("x.jpg", "broken")]
    views = Views([View(pixels, torch.eye(3), f"{i}.png", 4, 6) for i in range(12)], skipped)
    part = views[2:8:3]
    assert isinstance(part, Views)
    assert [view.name for view in part] == ["2.png", "5.png"]
    assert part.skipped == skipped
    assert views[-1].name == "11.png"
