"""Runs of several passes over the same views."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from fast3r.geometry.cameras import invert_rigid
from fast3r.models.fast3r import Chunks, Fast3R, Tokens
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.ensemble.run import order_of_pass, reconstruct_ensemble
from fast3r.views.view import SkippedPhoto, Views
from tests.scene.playback import TINY, Truth, a_view, predicted


class Recognizing(Fast3R):
    """A network that knows views by their colour, and puts the first at the origin."""

    def __init__(self, truths: Sequence[Truth]) -> None:
        super().__init__(TINY)
        self._truths = truths
        self.orders: list[list[int]] = []

    def tokens(self, images: Any, *args: Any, **options: Any) -> Tokens:
        """Remember which view is where."""
        self.orders.append([round(255 * image[0, 0, 0, 0].item()) for image in images])
        return super().tokens(images, *args, **options)

    def predict(
        self, tokens: Tokens, *, chunks: Chunks | None = None
    ) -> Iterator[tuple[int, Prediction]]:
        """Yield exact pointmaps in the frame of the first view."""
        order = self.orders[-1]
        world = invert_rigid(self._truths[order[0]].world_from_camera)
        for place, index in enumerate(order):
            exact = predicted(self._truths[index])
            points = exact.world.points @ world[:3, :3].mT + world[:3, 3]
            yield place, replace(exact, world=Pointmap(points, exact.world.confidence))


def recognizable(count: int) -> list[Truth]:
    truths = [a_view(seed, 480, 640, 560.0) for seed in range(count)]
    coloured = [
        replace(t.view, pixels=torch.full_like(t.view.pixels, index))
        for index, t in enumerate(truths)
    ]
    return [replace(t, view=view) for t, view in zip(truths, coloured, strict=True)]


def test_passes_begin_with_different_views_and_see_all_of_them() -> None:
    orders = [order_of_pass(number, 4, 9) for number in range(4)]
    assert [order[0] for order in orders] == [0, 2, 4, 6]
    assert all(sorted(order) == list(range(9)) for order in orders)
    assert [order_of_pass(number, 4, 2)[0] for number in range(4)] == [0, 1, 0, 1]


def test_an_ensemble_of_an_exact_network_is_its_single_pass() -> None:
    truths = recognizable(4)
    model = Recognizing(truths)
    photos = Views([t.view for t in truths], [SkippedPhoto("notes.txt", "not a photo")])
    scene = reconstruct_ensemble(photos, model, passes=3)
    assert [order[0] for order in model.orders] == [0, 1, 2]
    assert [view.name for view in scene.views] == [view.name for view in photos]
    assert scene.skipped == photos.skipped
    first = invert_rigid(truths[0].world_from_camera)
    for camera, truth in zip(scene.cameras, truths, strict=True):
        assert camera is not None
        wanted = first @ truth.world_from_camera
        torch.testing.assert_close(camera.world_from_camera, wanted, rtol=0, atol=0.02)
    torch.testing.assert_close(scene.depth[2], truths[2].depth, rtol=0.02, atol=0.02)
    assert scene.uncertainty is not None
    assert (scene.uncertainty.passes, scene.uncertainty.aligned) == (3, 3)


def test_an_ensemble_refuses_what_would_be_one_pass() -> None:
    truths = recognizable(2)
    model = Recognizing(truths)
    photos = [t.view for t in truths]
    with pytest.raises(ValueError, match="2 to 32 passes, got 1; for a single one"):
        reconstruct_ensemble(photos, model, passes=1)
    with pytest.raises(ValueError, match="at least two views, got 1"):
        reconstruct_ensemble(photos[:1], model)
    with pytest.raises(ValueError, match="seed must be between"):
        reconstruct_ensemble(photos, model, seed=-1)
