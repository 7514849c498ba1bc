"""Names of the published weights, and of DUSt3R's, in terms of ours: the one rename table.

Each rule is a pair (ours, theirs) of dotted prefixes with `{i}` for a number. Applied to a state
dict, every key is renamed by exactly one rule, or the load is refused.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_BLOCK = [
    ("norm1", "norm1"),
    ("qkv", "attn.qkv"),
    ("proj", "attn.proj"),
    ("norm2", "norm2"),
    ("fc1", "mlp.fc1"),
    ("fc2", "mlp.fc2"),
]

_HEAD = [
    *[(f"project.{k}", f"act_postprocess.{k}.0") for k in range(4)],
    *[(f"resample.{k}", f"act_postprocess.{k}.1") for k in (0, 1, 3)],
    *[(f"reduce.{k}", f"scratch.layer{k + 1}_rn") for k in range(4)],
    *[(f"refine.{k}.out", f"scratch.refinenet{k + 1}.out_conv") for k in range(4)],
    *[
        (f"refine.{k}.{ours}.conv{c}", f"scratch.refinenet{k + 1}.{theirs}.conv{c}")
        for k in range(4)
        for ours, theirs in [("skip", "resConfUnit1"), ("path", "resConfUnit2")]
        for c in (1, 2)
        if (k, ours) != (3, "skip")
    ],
    ("out1", "head.0"),
    ("out2", "head.2"),
    ("out3", "head.4"),
]


def _head(ours: str, theirs: str) -> list[tuple[str, str]]:
    return [(f"{ours}.{a}", f"{theirs}.dpt.{b}") for a, b in _HEAD]


_ENCODER = [
    ("encoder.patch_embed", "patch_embed.proj"),
    *[(f"encoder.blocks.{{i}}.{a}", f"enc_blocks.{{i}}.{b}") for a, b in _BLOCK],
    ("encoder.norm", "enc_norm"),
]

PUBLISHED: list[tuple[str, str]] = [
    *[(ours, f"encoder.{theirs}") for ours, theirs in _ENCODER],
    ("fusion.embed", "decoder.decoder_embed"),
    *[(f"fusion.blocks.{{i}}.{a}", f"decoder.dec_blocks.{{i}}.{b}") for a, b in _BLOCK],
    ("fusion.norm", "decoder.dec_norm"),
    *_head("world_head", "downstream_head"),
    *_head("local_head", "downstream_head_local"),
]
"""Fast3R as published on the hub, and inside its training checkpoints."""

DUST3R: list[tuple[str, str]] = [*_ENCODER, *_head("world_head", "downstream_head1")]
"""What a DUSt3R checkpoint can start: the encoder, and the world head where its shapes fit."""

UNUSED = re.compile(r".*\.scratch\.refinenet4\.resConfUnit1\.conv[12]\.(weight|bias)")
"""Parameters of the published files that no forward pass reads."""

ALIAS = re.compile(r"(.*\.scratch\.)layer_rn\.(\d)\.(weight)")
"""Second name of `layer{k}_rn` that some files carry as well."""


def canonical(key: str) -> str:
    """Return the first name of a parameter that published files may carry under two."""
    match = ALIAS.fullmatch(key)
    return f"{match[1]}layer{int(match[2]) + 1}_rn.{match[3]}" if match else key


def renamed(key: str, rules: list[tuple[str, str]], *, to_ours: bool) -> str | None:
    """Return the other name of a parameter, or None when no rule covers it."""
    stem, _, leaf = key.rpartition(".")
    numbers = re.findall(r"(?<=blocks\.)\d+(?=\.)", stem)
    pattern = re.sub(r"(?<=blocks\.)\d+(?=\.)", "{i}", stem)
    table = {b: a for a, b in rules} if to_ours else dict(rules)
    if pattern not in table:
        return None
    return ".".join([table[pattern].replace("{i}", numbers[0] if numbers else ""), leaf])


def names_for(
    keys: Iterable[str], rules: list[tuple[str, str]]
) -> tuple[dict[str, str], list[str]]:
    """Return the key that holds each of our parameters, and the keys that no rule covers.

    Keys that no forward pass reads, and second names of a key that is there, are in neither.
    """
    found: dict[str, str] = {}
    unknown: list[str] = []
    for key in keys:
        first = canonical(key)
        if UNUSED.fullmatch(first):
            continue
        ours = renamed(first, rules, to_ours=True)
        if ours is None:
            unknown.append(key)
        elif ours not in found or key == first:
            found[ours] = key
    return found, unknown


def published_tensors(
    tensors: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors under their published names, and the second names of some of them.

    What no forward pass reads is added as zeros, since the reference asks for it.
    """
    found: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    for name, tensor in tensors.items():
        theirs = renamed(name, PUBLISHED, to_ours=False)
        assert theirs is not None, name
        found[theirs] = tensor
        if match := re.fullmatch(r"(.*\.scratch\.)layer(\d)_rn\.weight", theirs):
            aliases[f"{match[1]}layer_rn.{int(match[2]) - 1}.weight"] = theirs
        if ".refinenet4.resConfUnit2." in theirs:
            unread = theirs.replace("resConfUnit2", "resConfUnit1")
            found[unread] = torch.zeros_like(tensor)
    return found, aliases
