from pathlib import Path

import pytest
import torch

from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Fast3R
from fast3r.models.names import DUST3R, PUBLISHED, names_for, published_tensors

LISTING = Path(__file__).parents[1] / "data" / "state_dict_released.txt"


@pytest.fixture(scope="module")
def listed() -> dict[str, list[int]]:
    """Names and shapes of all parameters of the published model, second names included."""
    lines = [line for line in LISTING.read_text().splitlines() if not line.startswith("#")]
    rows = [line.split("\t") for line in lines]
    return {name: [int(n) for n in shape.strip("[]").split(",")] for name, shape in rows}


@pytest.fixture(scope="module")
def ours() -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return Fast3R(Fast3RConfig()).state_dict()


def test_every_published_name_is_used_exactly_once(listed, ours) -> None:
    found, unknown = names_for(listed, PUBLISHED)
    assert not unknown
    assert found.keys() == ours.keys()
    assert len(set(found.values())) == len(ours)
    assert {name: listed[theirs] for name, theirs in found.items()} == {
        name: list(tensor.shape) for name, tensor in ours.items()
    }


def test_all_published_names_and_shapes_are_written(listed, ours) -> None:
    tensors, aliases = published_tensors(ours)
    assert len(tensors) == 712
    assert len(aliases) == 8
    written = {name: list(tensor.shape) for name, tensor in tensors.items()}
    second = {alias: written[name] for alias, name in aliases.items()}
    assert written | second == listed


def test_second_names_are_as_good_as_first_ones(listed, ours) -> None:
    only_second = [name for name in listed if "layer1_rn" not in name]
    found, unknown = names_for(only_second, PUBLISHED)
    assert not unknown
    assert found.keys() == ours.keys()
    assert found["world_head.reduce.0.weight"] == "downstream_head.dpt.scratch.layer_rn.0.weight"


def test_first_name_wins_in_either_order() -> None:
    both = [f"downstream_head.dpt.scratch.{n}.weight" for n in ("layer_rn.2", "layer3_rn")]
    for keys in (both, both[::-1]):
        assert names_for(keys, PUBLISHED)[0] == {"world_head.reduce.2.weight": both[1]}


@pytest.mark.parametrize("key", ["encoder.enc_blocks.0.attn.rope", "decoder.dec_norm", "bias", ""])
def test_other_names_are_unknown(key) -> None:
    assert names_for([key], PUBLISHED) == ({}, [key])


def test_our_names_are_not_taken_for_published_ones() -> None:
    assert names_for(["fusion.norm.weight"], PUBLISHED)[1] == ["fusion.norm.weight"]


def test_dust3r_starts_encoder_and_world_head() -> None:
    keys = [
        "enc_norm.bias",
        "downstream_head1.dpt.head.4.weight",
        "downstream_head2.dpt.head.4.bias",
    ]
    found, unknown = names_for(keys, DUST3R)
    assert found == {"encoder.norm.bias": keys[0], "world_head.out3.weight": keys[1]}
    assert unknown == [keys[2]]
