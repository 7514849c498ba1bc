"""Pointmaps on their way to where they are kept."""

from pathlib import Path

import pytest
import torch

from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.outputs import Keep, Scratch, in_memory, on_host

CPU = torch.device("cpu")


def predictions(*, local: bool = True) -> list[tuple[int, Prediction]]:
    """Return those of three views as the heads make them: parts of one tensor."""
    points, confidence = torch.rand(3, 4, 5, 3), torch.rand(3, 4, 5)
    maps = [Pointmap(points[i : i + 1], confidence[i : i + 1]) for i in range(3)]
    return [(2 - i, Prediction(m, m if local else None)) for i, m in enumerate(maps)]


@pytest.mark.parametrize("way", ["memory", "files"])
@pytest.mark.parametrize("local", [True, False])
def test_what_is_kept_is_equal_and_in_the_same_order(tmp_path: Path, way: str, local: bool) -> None:
    keep: Keep = in_memory if way == "memory" else Scratch(tmp_path).keep
    made = predictions(local=local)
    kept = list(on_host(made, keep, CPU))
    assert [index for index, _ in kept] == [2, 1, 0]
    for (_, a), (_, b) in zip(made, kept, strict=True):
        assert torch.equal(a.world.points, b.world.points)
        assert torch.equal(a.world.confidence, b.world.confidence)
        assert (b.local is not None) == local


def test_what_is_kept_in_memory_does_not_keep_its_chunk_alive() -> None:
    (_, kept), *_ = on_host(predictions(), in_memory, CPU)
    assert kept.world.points.untyped_storage().nbytes() == 4 * 5 * 3 * 4


def test_a_scratch_folder_is_made_only_for_tensors(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "new")
    scratch.close()
    assert not (tmp_path / "new").exists()


def test_tensors_outlive_their_scratch_folder(tmp_path: Path) -> None:
    scratch, tensor = Scratch(tmp_path), torch.rand(100)
    kept = scratch.keep("a", tensor)
    scratch.close()
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(kept, tensor)


@pytest.mark.gpu
def test_copies_from_a_gpu_are_whole() -> None:
    made = [
        (i, Prediction(Pointmap(p.world.points.cuda(), p.world.confidence.cuda()), None))
        for i, p in predictions()
    ]
    for (_, a), (_, b) in zip(made, on_host(made, in_memory, torch.device("cuda")), strict=True):
        assert torch.equal(a.world.points.cpu(), b.world.points)
        assert b.world.points.device == CPU
