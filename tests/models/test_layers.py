from pathlib import Path

import numpy as np
import pytest
import torch

from fast3r.models.layers import Block, PatchPosition, patch_rotation, rotate, view_embedding

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def positions() -> dict[str, torch.Tensor]:
    with np.load(Path(__file__).parents[1] / "data" / "positions.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def test_rotary_positions_equal_those_of_the_reference(positions) -> None:
    cos, sin = patch_rotation((7, 7), 64, 100.0, dtype=torch.float32, device=CPU)
    for sample, places in enumerate(positions["rope_places"]):
        at = places[:, 0] * 7 + places[:, 1]
        found = rotate(positions["rope_in"][sample : sample + 1], (cos[at], sin[at]))[0]
        torch.testing.assert_close(found, positions["rope_out"][sample])


def test_rotation_keeps_lengths_and_sees_only_offsets() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 16).expand(2, 1, 1, 12, 16)
    rotation = patch_rotation((3, 4), 16, 100.0, dtype=torch.float32, device=CPU)
    query, key = rotate(query, rotation)[0, 0], rotate(key, rotation)[0, 0]
    torch.testing.assert_close(query.norm(dim=-1), query[0].norm().expand(12))
    scores = query @ key.T
    torch.testing.assert_close(scores[0, 5], scores[5, 10])  # one down and one right, both times


def test_rotation_in_half_precision_is_the_rounded_one() -> None:
    exact = patch_rotation((2, 40), 16, 100.0, dtype=torch.float32, device=CPU)
    rounded = patch_rotation((2, 40), 16, 100.0, dtype=torch.bfloat16, device=CPU)
    for a, b in zip(exact, rounded, strict=True):
        assert torch.equal(a.bfloat16(), b)


def test_view_marks_equal_the_published_table(positions) -> None:
    found = view_embedding(positions["table_row_ids"][None], 1024)[0]
    torch.testing.assert_close(found, positions["table_rows"], rtol=0, atol=1.2e-7)


def test_view_marks_go_on_beyond_the_published_table() -> None:
    found = view_embedding(torch.arange(990, 1500)[None], 64)[0]
    assert len(torch.unique(found, dim=0)) == 510


def test_patch_position_is_the_same_for_every_size_of_one_shape() -> None:
    torch.manual_seed(0)
    position = PatchPosition(8)
    centre = position((3, 5)).unflatten(0, (3, 5))[1, 2]
    torch.testing.assert_close(position((9, 15)).unflatten(0, (9, 15))[4, 7], centre)


@torch.no_grad()
def test_block_in_parts_equals_block_at_once() -> None:
    torch.manual_seed(0)
    block = Block(32, 2, mlp_ratio=4, norm_eps=1e-5)
    tokens = torch.randn(2, 11, 32)
    wanted = block(tokens.clone())
    for chunk in (1, 3, 11, 100):
        torch.testing.assert_close(block(tokens.clone(), chunk=chunk), wanted)


def test_block_leaves_its_input_alone_while_gradients_are_recorded() -> None:
    torch.manual_seed(0)
    block = Block(32, 2, mlp_ratio=4, norm_eps=1e-5)
    tokens = torch.randn(1, 5, 32)
    before = tokens.clone()
    block(tokens)
    assert torch.equal(tokens, before)


@torch.no_grad()
def test_sharpness_one_is_the_usual_attention() -> None:
    torch.manual_seed(0)
    block = Block(32, 2, mlp_ratio=4, norm_eps=1e-5)
    tokens = torch.randn(1, 5, 32)
    wanted = block(tokens.clone())
    assert torch.equal(block(tokens.clone(), sharpness=1.0), wanted)
    assert not torch.allclose(block(tokens.clone(), sharpness=1.3), wanted)
