"""Blocks compiled by torch give the numbers of those that are not."""

import shutil

import pytest
import torch

from fast3r.models.fast3r import Chunks
from fast3r.models.thinning import Thinning


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # those of the compiler are not ours
@pytest.mark.parametrize("chunks", [Chunks(), Chunks(1, 5, 1)])
@pytest.mark.parametrize("thinning", [None, Thinning(0.5)])
@pytest.mark.usefixtures("unchecked_shapes")
@torch.inference_mode()
def test_compiled_blocks_change_nothing(golden, chunks, thinning) -> None:
    plain, compiled = golden.model(), golden.model()
    plain.thinning = compiled.thinning = thinning
    compiled.compile_blocks()
    images = [torch.rand(1, 3, *size) for size in [(32, 48), (48, 32), (32, 48)]]
    for found, wanted in zip(compiled(images, chunks=chunks), plain(images), strict=True):
        torch.testing.assert_close(found.world.points, wanted.world.points, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.local.points, wanted.local.points, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_compiling_leaves_the_names_of_the_weights(tiny) -> None:
    names = list(tiny.state_dict())
    tiny.compile_blocks()
    assert list(tiny.state_dict()) == names
