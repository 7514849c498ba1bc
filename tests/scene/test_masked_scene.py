"""A moving object under masks leaves the rest of a scene as if it were not there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.refine import refine
from fast3r.scene.run import reconstruct
from fast3r.views.load import load_views
from fast3r.views.view import View
from tests.scene.corner import HEIGHT, WIDTH, a_corner, shaken
from tests.scene.playback import PlayedBack, a_view, predicted

SHOWS = ["a striped thing", "noise", "white", "nothing"]
"""What may be under the masks."""


def place(index: int) -> tuple[slice, slice]:
    """Return where the object is in a photo: somewhere else in each."""
    top, left = 31 + 13 * (index % 3), 20 + 37 * index
    return slice(top, top + 61), slice(left, left + 43)


def painted(photo: np.ndarray, index: int, shows: str) -> np.ndarray:
    """Return a photo in front of which something moves."""
    rows, columns = np.indices((61, 43))
    stripes = np.where(((rows + columns) // 5 % 2)[..., None] > 0, (230, 30, 30), (20, 20, 160))
    objects = {
        "a striped thing": stripes,
        "noise": np.random.default_rng(index).integers(0, 256, (61, 43, 3)),
        "white": np.full((61, 43, 3), 255),
    }
    if shows in objects:
        photo = photo.copy()
        photo[place(index)] = objects[shows]
    return photo


def save(folder: Path, shows: str, *, enlarged: int = 1) -> tuple[Path, Path]:
    """Write photos of a corner with an object that moves, and masks; return both folders."""
    photos, masks = folder / shows, folder / f"{shows}, masks"
    photos.mkdir()
    masks.mkdir()
    for index, view in enumerate(a_corner().views):
        photo = painted(view.pixels.numpy(), index, shows)
        size = (enlarged * WIDTH, enlarged * HEIGHT)
        Image.fromarray(photo).resize(size, Image.Resampling.NEAREST).save(photos / view.name)
        kept = np.full((HEIGHT, WIDTH), 255, np.uint8)
        kept[place(index)] = 0
        Image.fromarray(kept).save(masks / f"{view.name}.png")
    return photos, masks


@pytest.fixture(scope="module")
def model() -> Fast3R:
    return load_model("small")


def scenes(
    folder: Path, model: Fast3R, contents: list[str], *, size: int = 128, masked: bool = True
) -> list[Reconstruction]:
    found = []
    for shows in contents:
        photos, masks = save(folder, shows, enlarged=2)
        views = load_views(photos, size=size, patch=model.patch, masks=masks if masked else None)
        found.append(reconstruct(views, model))
    return found


def assert_same(first: Reconstruction, second: Reconstruction) -> None:
    """Accept scenes that are equal bit for bit, but for colours under the masks."""
    assert first.failures == second.failures
    for one, other in zip(first.cameras, second.cameras, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert torch.equal(one.world_from_camera, other.world_from_camera)
            assert torch.equal(one.intrinsics, other.intrinsics)
    for one, other in zip(
        first.depth + first.confidence, second.depth + second.confidence, strict=True
    ):
        assert torch.equal(one, other)
    if first.registered:
        cloud, same = first.point_cloud(), second.point_cloud()
        assert torch.equal(cloud.points, same.points)
        assert torch.equal(cloud.colors, same.colors)
        assert torch.equal(cloud.confidence, same.confidence)


@pytest.mark.parametrize("size", [128, 256])
def test_the_rest_is_the_same_whatever_is_under_the_masks(
    tmp_path: Path, model: Fast3R, size: int
) -> None:
    first, *others = scenes(tmp_path, model, SHOWS if size == 128 else SHOWS[:2], size=size)
    assert first.registered
    for other in others:
        assert_same(first, other)


def test_without_masks_it_is_not(tmp_path: Path, model: Fast3R) -> None:
    first, *others = scenes(tmp_path, model, SHOWS[2:], masked=False)
    for other in others:
        assert not torch.equal(first.depth[0], other.depth[0])


def test_no_point_comes_from_under_a_mask(tmp_path: Path, model: Fast3R) -> None:
    photos, masks = save(tmp_path, "noise")
    scene = reconstruct(load_views(photos, size=128, patch=model.patch, masks=masks), model)
    cloud = scene.point_cloud(min_conf_percentile=0, max_slant_deg=90, margin=0)
    for index in scene.registered:
        x, y = cloud.pixel[cloud.view_index == index].long().unbind(-1)
        under = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        rows, columns = place(index)
        # A network pixel, of two photo pixels, is kept if most of it is.
        under[rows.start + 1 : rows.stop - 1, columns.start + 1 : columns.stop - 1] = True
        assert not under[y, x].any()


def refined(folder: Path, shows: str) -> Reconstruction:
    """Refine a scene whose cameras are a little wrong, from photos with masks."""
    photos, masks = save(folder, shows)
    views = load_views(photos, size=WIDTH, patch=1, masks=masks)
    return refine(
        replace(shaken(a_corner().scene(), turned_deg=1.0, moved=0.05), views=list(views))
    )


def test_refined_cameras_are_the_same_whatever_is_under_the_masks(tmp_path: Path) -> None:
    pytest.importorskip("pycolmap")
    first, *others = (refined(tmp_path, shows) for shows in SHOWS[1:3])
    record = first.refinement
    assert record.refined == len(first.views)
    for other in others:
        assert_same(first, other)


def with_nonsense(prediction: Prediction, view: View, seed: int) -> Prediction:
    """Return a prediction that knows nothing of what is under a view's mask, and is sure of it."""
    random = torch.Generator().manual_seed(seed)

    def spoilt(pointmap: Pointmap) -> Pointmap:
        shape = pointmap.points.shape
        points = pointmap.points.where(
            view.mask[None, ..., None], 9 * torch.randn(shape, generator=random)
        )
        return Pointmap(points, pointmap.confidence.where(view.mask[None], 50.0))

    return Prediction(spoilt(prediction.world), spoilt(prediction.local))


@pytest.mark.parametrize("share_focal", ["none", "camera", "all"])
def test_what_is_said_of_masked_pixels_has_no_vote(share_focal) -> None:
    # Of one focal length in whatever way it is shared.
    sizes = [(480, 640), (640, 480), (200, 640), (480, 640)]
    truths = [a_view(seed, *size, 560.0) for seed, size in enumerate(sizes)]
    views = []
    for truth in truths:
        mask = torch.ones(truth.view.height, truth.view.width, dtype=torch.bool)
        mask[:, : truth.view.width // 2] = False
        own = truth.view.mask
        views.append(replace(truth.view, mask=mask if own is None else mask & own))
    found = [
        reconstruct(
            views,
            PlayedBack(
                [with_nonsense(predicted(t), v, seed) for t, v in zip(truths, views, strict=True)]
            ),
            share_focal=share_focal,
        )
        for seed in (1, 2)
    ]
    assert found[0].registered == [0, 1, 2, 3]
    for one, other, truth in zip(found[0].cameras, found[1].cameras, truths, strict=True):
        assert torch.equal(one.world_from_camera, other.world_from_camera)
        assert torch.equal(one.intrinsics, other.intrinsics)
        torch.testing.assert_close(
            one.world_from_camera, truth.world_from_camera, rtol=0, atol=0.02
        )
    for index in range(4):
        seen = found[0].valid(index)
        assert torch.equal(found[0].depth[index][seen], found[1].depth[index][seen])
