"""Masks beside transforms.json."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.export import transforms_json
from fast3r.scene.reconstruction import Reconstruction
from tests.scenes import make_scene


@pytest.fixture
def scene() -> Reconstruction:
    """A scene, the left of whose first photo is masked."""
    scene = make_scene()
    first, *others = scene.views
    mask = torch.ones(first.height, first.width, dtype=torch.bool)
    mask[:, : first.width // 2] = False
    return replace(scene, views=[replace(first, mask=mask), *others])


def frames(folder: Path) -> list[dict[str, object]]:
    return json.loads((folder / "transforms.json").read_text())["frames"]


def test_where_one_photo_is_masked_all_have_masks_of_their_size(
    scene: Reconstruction, tmp_path: Path
) -> None:
    transforms_json.write(scene, tmp_path / "transforms.json")
    for index, frame in enumerate(frames(tmp_path)):
        with Image.open(tmp_path / str(frame["mask_path"])) as image:
            assert image.size == (frame["w"], frame["h"])
            black = np.asarray(image) == 0
        assert black.any() == (index == 0)
    view = scene.views[0]
    middle = view.original_from_network @ torch.tensor([view.width // 2, 0.0, 1.0])
    with Image.open(tmp_path / str(frames(tmp_path)[0]["mask_path"])) as image:
        black = np.asarray(image) == 0
    row, column = black.shape[0] // 2, round(middle[0].item())
    assert black[row, column - 3]
    assert not black[row, column + 3]


def test_without_masks_there_are_none(tmp_path: Path) -> None:
    transforms_json.write(make_scene(), tmp_path / "transforms.json")
    assert not (tmp_path / "transforms_masks").exists()
    assert "mask_path" not in frames(tmp_path)[0]
