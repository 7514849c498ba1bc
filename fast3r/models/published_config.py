"""Model shapes as the reference writes them: the config of published weights, and that of a run."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fast3r.documents import read_yaml
from fast3r.models.config import Fast3RConfig, HeadConfig
from fast3r.plain_values import receive

_PARTS = ("encoder_args", "decoder_args", "head_args")

# Names of numbers in the reference, and ours.
_ENCODER = {
    "embed_dim": "width",
    "depth": "depth",
    "num_heads": "heads",
    "patch_size": "patch",
    "mlp_ratio": "mlp_ratio",
}
_DECODER = {
    "embed_dim": "width",
    "depth": "depth",
    "num_heads": "heads",
    "mlp_ratio": "mlp_ratio",
    "qkv_bias": "qkv_bias",
}

# Only these are not in the reference's own files: the widths of the head, which are constants
# there. They are written where they differ from those.
_HEAD_WIDTHS = {
    "dpt_feature_dim": "features",
    "dpt_last_dim": "last_features",
    "dpt_layer_dims": "level_widths",
}

# The reference sharpens as for 137 views and knows no other number.
_PUBLISHED_TEMPERATURE = 137

# The kind of network that this is.
_KIND = {
    "encoder_args": {"encoder_type": "croco"},
    "decoder_args": {"decoder_type": "fast3r"},
    "head_args": {"head_type": "dpt", "output_mode": "pts3d"},
}
_MODES = {"depth_mode": ["exp", -math.inf, math.inf], "conf_mode": ["exp", 1, math.inf]}

# Entries that change no number of a forward pass in evaluation mode, as they are written. Two of
# them, patch_embed_cls and landscape_only, told the training how portraits lay in a batch.
_WITHOUT_EFFECT = {
    "encoder_args": {
        "patch_embed_cls": "PatchEmbedDust3R",
        "attn_implementation": "flash_attention",
    },
    "decoder_args": {"drop": 0.0, "attn_drop": 0.0, "attn_implementation": "flash_attention"},
    "head_args": {"landscape_only": False},
}
_NEVER_WRITTEN = {"skip_load_pretrained_head"}


def is_published(entries: Mapping[str, Any]) -> bool:
    """Say whether a config is in the published format."""
    return any(part in entries for part in _PARTS)


def read_published_config(entries: Mapping[str, Any]) -> Fast3RConfig:
    """Return the config that the three dictionaries of a published one describe.

    One that does not say whether the attention temperature is on has it on, which is the default
    of the reference.

    Raises:
        ValueError: An entry is unknown, missing or of a kind that this network does not have.
    """
    encoder_args, decoder_args, head_args = (_Entries(entries, part) for part in _PARTS)
    image_size = encoder_args.take("img_size", Fast3RConfig.image_size)
    encoder = _read_encoder(encoder_args)
    fusion = _read_decoder(decoder_args, encoder["width"])
    head = _read_head(head_args, encoder["patch"])
    for part in (encoder_args, decoder_args, head_args):
        part.refuse_rest()
    ours = {"encoder": encoder, "fusion": fusion, "head": head, "image_size": image_size}
    return receive(Fast3RConfig, ours, where="published config")


def read_run_config(file: Path) -> Fast3RConfig:
    """Return the config of a training run of the reference, from its `.hydra/config.yaml`.

    The attention temperature is off, as in the reference's evaluation of training checkpoints.

    Raises:
        ValueError: It cannot be read, or is not of this network.
    """
    try:
        root = read_yaml(file)
    except ImportError as error:
        raise ValueError(f"{error}, or give config=") from error
    try:
        parts = {part: root["model"]["net"][part] for part in _PARTS}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} has no model.net with {', '.join(_PARTS)}") from error
    try:
        config = read_published_config(_resolved(parts, root))
    except RecursionError as error:
        raise ValueError(f"{file} has references in a circle; give config=") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return replace(config, fusion=replace(config.fusion, temperature_views=None))


def write_published_config(config: Fast3RConfig) -> str:
    """Return the config as JSON that the reference reads, with its bare `Infinity`.

    Raises:
        ValueError: The config uses what the reference does not have.
    """
    encoder, fusion, head = config.encoder, config.fusion, config.head
    if encoder.absolute_position or fusion.absolute_position or fusion.alternate or head.matches:
        raise ValueError(
            "the published format has no absolute_position, no alternate and no matches; "
            "save in the format 'fast3r'"
        )
    if fusion.temperature_views not in (None, _PUBLISHED_TEMPERATURE):
        raise ValueError(
            f"the published format knows temperature_views {_PUBLISHED_TEMPERATURE} or none, got "
            f"{fusion.temperature_views}; save in the format 'fast3r'"
        )
    usual, widths = _renamed(HeadConfig(), _HEAD_WIDTHS), _renamed(head, _HEAD_WIDTHS)
    parts = {
        "encoder_args": {
            **_renamed(encoder, _ENCODER),
            "pos_embed": f"RoPE{encoder.rope_base:g}",
            "img_size": config.image_size,
        },
        "decoder_args": {
            **_renamed(fusion, _DECODER),
            "enc_embed_dim": encoder.width,
            "random_image_idx_embedding": fusion.view_ids == "random",
            "attn_bias_for_inference_enabled": fusion.temperature_views is not None,
        },
        "head_args": {
            **{name: width for name, width in widths.items() if width != usual[name]},
            **_MODES,
            "patch_size": encoder.patch,
            "with_local_head": head.local,
        },
    }
    whole = {part: own | _KIND[part] | _WITHOUT_EFFECT[part] for part, own in parts.items()}
    return json.dumps(whole, indent=2, sort_keys=True)


class _Entries:
    """One dictionary of a published config, of which every entry must be read or be harmless."""

    def __init__(self, entries: Mapping[str, Any], part: str) -> None:
        if not isinstance(entries.get(part), Mapping):
            raise ValueError(f"{part} must be a dictionary, got {entries.get(part)!r}")
        self.part = part
        self.entries = dict(entries[part])
        for name, value in _KIND[part].items():
            self.expect(name, value)

    def take(self, name: str, *default: Any) -> Any:
        if name not in self.entries and not default:
            raise ValueError(f"{self.part} lacks the entry {name!r}")
        return self.entries.pop(name, *default)

    def expect(self, name: str, value: Any) -> None:
        found = self.take(name, value)
        if found != value:
            raise ValueError(
                f"{self.part}.{name} must be {value!r} for this network, got {found!r}"
            )

    def refuse_rest(self) -> None:
        known = _WITHOUT_EFFECT[self.part].keys() | _NEVER_WRITTEN
        unknown = sorted(map(str, self.entries.keys() - known))
        if unknown:
            raise ValueError(f"{self.part} has the unknown entries {unknown}")


def _read_encoder(args: _Entries) -> dict[str, Any]:
    position = str(args.take("pos_embed"))
    if not re.fullmatch(r"RoPE\d+(\.\d+)?", position):
        raise ValueError(f"encoder_args.pos_embed must be 'RoPE' and a number, got {position!r}")
    numbers = {ours: args.take(theirs) for theirs, ours in _ENCODER.items()}
    return {**numbers, "rope_base": float(position.removeprefix("RoPE"))}


def _read_decoder(args: _Entries, encoder_width: Any) -> dict[str, Any]:
    args.expect("enc_embed_dim", encoder_width)
    sharpen = args.take("attn_bias_for_inference_enabled", True)
    return {
        **{ours: args.take(theirs) for theirs, ours in _DECODER.items()},
        "view_ids": "random" if args.take("random_image_idx_embedding") else "sequential",
        "temperature_views": _PUBLISHED_TEMPERATURE if sharpen else None,
    }


def _read_head(args: _Entries, patch: Any) -> dict[str, Any]:
    args.expect("patch_size", patch)
    for name, mode in _MODES.items():
        wanted, found = list(map(_word, mode)), args.take(name)
        if not isinstance(found, list) or list(map(_word, found)) != wanted:
            raise ValueError(f"head_args.{name} must be {wanted}, got {found}")
    usual = _renamed(HeadConfig(), _HEAD_WIDTHS)
    widths = {ours: args.take(theirs, usual[theirs]) for theirs, ours in _HEAD_WIDTHS.items()}
    return {**widths, "local": args.take("with_local_head", False)}


def _word(bound: Any) -> str:
    """Return a part of a mode as a word, which some training configs hold."""
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _renamed(config: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the numbers of a part of our config under their published names."""
    return {theirs: getattr(config, ours) for theirs, ours in names.items()}


def _resolved(value: Any, root: Mapping[str, Any]) -> Any:
    """Follow references such as `${model.net.encoder_args.embed_dim}`."""
    if isinstance(value, dict):
        return {key: _resolved(part, root) for key, part in value.items()}
    if isinstance(value, list):
        return [_resolved(part, root) for part in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    target: Any = root
    for name in value.removeprefix("${").removesuffix("}").split("."):
        if not isinstance(target, Mapping) or name not in target:
            raise ValueError(f"cannot follow the reference {value}; give config=")
        target = target[name]
    return _resolved(target, root)
