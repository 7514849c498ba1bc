"""Scores on photos with known cameras."""

import json
from pathlib import Path

import pytest
import torch

from fast3r.evaluation.photos import mean_score, read_set, score_set, table
from tests.scene.playback import SIZE, PlayedBack, Truth, a_view, predicted, save_photos


def write_set(folder: Path, truths: list[Truth]) -> None:
    save_photos(truths, folder)
    images = [
        {"file": f"{index}.png", "c2w": truth.world_from_camera.tolist()}
        for index, truth in enumerate(truths)
    ]
    (folder / "cameras.json").write_text(json.dumps({"images": images}))


def test_perfect_pointmaps_score_perfectly(tmp_path: Path) -> None:
    truths = [a_view(seed, 300, 400, 350.0) for seed in range(4)]
    write_set(tmp_path / "room", truths)
    model = PlayedBack([predicted(truth) for truth in truths])
    score = score_set(tmp_path / "room", model, size=SIZE)
    assert (score.name, score.photos, score.registered) == ("room", 4, 4)
    assert score.model.rra15 == score.model.rta15 == 1
    assert score.model.auc30 > 0.99
    assert score.trivial.auc30 < 0.5
    assert "| room | 4 | 4 | 100.0%" in table([score])


def test_photos_are_chosen_evenly(tmp_path: Path) -> None:
    images = [{"file": f"{k}.png", "c2w": torch.eye(4).tolist()} for k in range(9)]
    (tmp_path / "cameras.json").write_text(json.dumps({"images": images}))
    paths, poses = read_set(tmp_path, limit=3)
    assert [path.name for path in paths] == ["0.png", "4.png", "8.png"]
    assert poses.shape == (3, 4, 4)


@pytest.mark.parametrize("text", ["", "{}", '{"images": [{"file": "a.png"}]}', '{"images": 3}'])
def test_a_wrong_file_is_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / "cameras.json").write_text(text)
    with pytest.raises(ValueError, match=r"cameras\.json: expected images\[\] with file and c2w"):
        read_set(tmp_path, limit=3)


def test_sets_count_the_same(tmp_path: Path) -> None:
    truths = [a_view(seed, 300, 400, 350.0) for seed in range(2)]
    write_set(tmp_path / "room", truths)
    score = score_set(tmp_path / "room", PlayedBack([predicted(t) for t in truths]), size=SIZE)
    mean = mean_score([score.model, score.trivial])
    assert mean.auc30 == pytest.approx((score.model.auc30 + score.trivial.auc30) / 2)
