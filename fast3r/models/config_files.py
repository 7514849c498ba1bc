"""Model shapes as JSON: ours, which mirrors the dataclasses, and that of the published files."""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig

_GIANT = 1e9
"""No number of a network is as large."""

PUBLISHED_PARTS = ("encoder_args", "decoder_args", "head_args")
"""The three dictionaries of a published config."""

# The reference sharpens as for 137 views and knows no other number.
_PUBLISHED_TEMPERATURE = 137

# Only three numbers of the published dictionaries are not in the reference's own files: the
# widths of the head, which are constants there. They are written where they differ from those.
_HEAD_WIDTHS = {
    "dpt_feature_dim": "features",
    "dpt_last_dim": "last_features",
    "dpt_layer_dims": "level_widths",
}

# Entries that change no number of a forward pass in evaluation mode. Two of them,
# ManyAR_PatchEmbed and landscape_only, told the training how portraits were stored in a batch.
_WITHOUT_EFFECT = {
    "encoder_args": {"patch_embed_cls", "attn_implementation"},
    "decoder_args": {"drop", "attn_drop", "attn_implementation"},
    "head_args": {"landscape_only", "skip_load_pretrained_head"},
}


def is_published(entries: Mapping[str, Any]) -> bool:
    """Say whether a config is in the published format."""
    return any(part in entries for part in PUBLISHED_PARTS)


def read_config(entries: Mapping[str, Any]) -> Fast3RConfig:
    """Return the config that a JSON file holds, in our format or the published one.

    A published config that does not say whether the attention temperature is on has it on, which
    is the default of the reference.

    Raises:
        ValueError: An entry is unknown, missing or of a kind that this network does not have.
    """
    if is_published(entries):
        return _read_published(entries)
    return _read_dataclass(Fast3RConfig, entries, "config")


def write_config(config: Fast3RConfig) -> str:
    """Return the config as JSON in our format."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def write_published_config(config: Fast3RConfig) -> str:
    """Return the config as JSON that the reference reads, with its bare `Infinity`.

    Raises:
        ValueError: The config uses what the reference does not have.
    """
    encoder, fusion, head = config.encoder, config.fusion, config.head
    if encoder.absolute_position or fusion.absolute_position or fusion.alternate:
        raise ValueError(
            "the published format has no absolute_position and no alternate; "
            "save in the format 'fast3r'"
        )
    if fusion.temperature_views not in (None, _PUBLISHED_TEMPERATURE):
        raise ValueError(
            f"the published format knows temperature_views {_PUBLISHED_TEMPERATURE} or none, got "
            f"{fusion.temperature_views}; save in the format 'fast3r'"
        )
    parts = {
        "encoder_args": _published_encoder(encoder) | {"img_size": config.image_size},
        "decoder_args": _published_decoder(fusion, encoder.width),
        "head_args": _published_head(head, encoder.patch),
    }
    return json.dumps(parts, indent=2, sort_keys=True)


def _read_dataclass(kind: type, entries: Any, where: str) -> Any:
    """Build a frozen dataclass from a dictionary that has exactly its fields."""
    if not isinstance(entries, Mapping):
        raise ValueError(f"{where} must be a dictionary, got {entries!r}")
    names = {field.name for field in dataclasses.fields(kind)}
    unknown, missing = sorted(set(entries) - names), sorted(names - set(entries))
    if unknown or missing:
        raise ValueError(f"{where}: unknown entries {unknown}, missing entries {missing}")
    hints = get_type_hints(kind)
    return kind(**{n: _read_value(hints[n], entries[n], f"{where}.{n}") for n in sorted(names)})


def _read_value(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read_dataclass(kind, value, where)
    if isinstance(value, list):
        value = tuple(value)
    if not _fits(kind, value):
        raise ValueError(f"{where} must be {_described(kind)}, got {value!r}")
    if not _positive(value):
        raise ValueError(f"{where} must be positive, got {value!r} (at most {_GIANT:g})")
    return float(value) if kind is float else value


def _fits(kind: Any, value: Any) -> bool:
    choices = get_args(kind)
    if get_origin(kind) is tuple:
        if type(value) is not tuple or len(value) != len(choices):
            return False
        return all(_fits(choice, part) for choice, part in zip(choices, value, strict=True))
    if choices:  # a union lists types, a Literal lists values
        return any(type(value) is c if isinstance(c, type) else value == c for c in choices)
    return type(value) in ((int, float) if kind is float else (kind,))


def _positive(value: Any) -> bool:
    """Say whether a value, and each part of a tuple, is a number of usual size if it is one."""
    if isinstance(value, tuple):
        return all(map(_positive, value))
    return type(value) not in (int, float) or 0 < value < _GIANT


def _described(kind: Any) -> str:
    return kind.__name__ if type(kind) is type else str(kind)


def _read_published(entries: Mapping[str, Any]) -> Fast3RConfig:
    encoder_args, decoder_args, head_args = (_Entries(entries, part) for part in PUBLISHED_PARTS)
    image_size = encoder_args.take("img_size", Fast3RConfig.image_size)
    encoder = _read_encoder(encoder_args)
    fusion = _read_decoder(decoder_args, encoder["width"])
    head = _read_head(head_args, encoder["patch"])
    for part in (encoder_args, decoder_args, head_args):
        part.refuse_rest()
    ours = {"encoder": encoder, "fusion": fusion, "head": head, "image_size": image_size}
    return _read_dataclass(Fast3RConfig, ours, "published config")


class _Entries:
    """One dictionary of a published config, of which every entry must be read or be harmless."""

    def __init__(self, entries: Mapping[str, Any], part: str) -> None:
        if not isinstance(entries.get(part), Mapping):
            raise ValueError(f"{part} must be a dictionary, got {entries.get(part)!r}")
        self.part = part
        self.entries = dict(entries[part])

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
        unknown = sorted(map(str, set(self.entries) - _WITHOUT_EFFECT[self.part]))
        if unknown:
            raise ValueError(f"{self.part} has the unknown entries {unknown}")


def _read_encoder(args: _Entries) -> dict[str, Any]:
    args.expect("encoder_type", "croco")
    position = str(args.take("pos_embed"))
    if not re.fullmatch(r"RoPE\d+(\.\d+)?", position):
        raise ValueError(f"encoder_args.pos_embed must be 'RoPE' and a number, got {position!r}")
    return {
        "width": args.take("embed_dim"),
        "depth": args.take("depth"),
        "heads": args.take("num_heads"),
        "patch": args.take("patch_size"),
        "mlp_ratio": args.take("mlp_ratio"),
        "rope_base": float(position.removeprefix("RoPE")),
        "absolute_position": False,
    }


def _read_decoder(args: _Entries, encoder_width: Any) -> dict[str, Any]:
    args.expect("decoder_type", "fast3r")
    args.expect("enc_embed_dim", encoder_width)
    sharpen = args.take("attn_bias_for_inference_enabled", True)
    return {
        "width": args.take("embed_dim"),
        "depth": args.take("depth"),
        "heads": args.take("num_heads"),
        "mlp_ratio": args.take("mlp_ratio"),
        "qkv_bias": args.take("qkv_bias"),
        "view_ids": "random" if args.take("random_image_idx_embedding") else "sequential",
        "temperature_views": _PUBLISHED_TEMPERATURE if sharpen else None,
        "alternate": False,
        "absolute_position": False,
    }


def _read_head(args: _Entries, patch: Any) -> dict[str, Any]:
    args.expect("head_type", "dpt")
    args.expect("output_mode", "pts3d")
    args.expect("patch_size", patch)
    for name, bounds in [("depth_mode", ["-inf", "inf"]), ("conf_mode", ["1", "inf"])]:
        found = args.take(name)
        # Some training configs hold the bounds as words.
        words = [f"{b:g}" if isinstance(b, float) else str(b) for b in found or []]
        if words != ["exp", *bounds]:
            raise ValueError(f"head_args.{name} must be {['exp', *bounds]}, got {found}")
    usual = HeadConfig()
    widths = {o: args.take(t, getattr(usual, o)) for t, o in _HEAD_WIDTHS.items()}
    return {**widths, "local": args.take("with_local_head", False)}


def _published_encoder(encoder: EncoderConfig) -> dict[str, Any]:
    return {
        "attn_implementation": "flash_attention",
        "depth": encoder.depth,
        "embed_dim": encoder.width,
        "encoder_type": "croco",
        "mlp_ratio": encoder.mlp_ratio,
        "num_heads": encoder.heads,
        "patch_embed_cls": "PatchEmbedDust3R",
        "patch_size": encoder.patch,
        "pos_embed": f"RoPE{encoder.rope_base:g}",
    }


def _published_decoder(fusion: FusionConfig, encoder_width: int) -> dict[str, Any]:
    return {
        "attn_bias_for_inference_enabled": fusion.temperature_views is not None,
        "attn_drop": 0.0,
        "attn_implementation": "flash_attention",
        "decoder_type": "fast3r",
        "depth": fusion.depth,
        "drop": 0.0,
        "embed_dim": fusion.width,
        "enc_embed_dim": encoder_width,
        "mlp_ratio": fusion.mlp_ratio,
        "num_heads": fusion.heads,
        "qkv_bias": fusion.qkv_bias,
        "random_image_idx_embedding": fusion.view_ids == "random",
    }


def _published_head(head: HeadConfig, patch: int) -> dict[str, Any]:
    written = {
        "conf_mode": ["exp", 1, float("inf")],
        "depth_mode": ["exp", float("-inf"), float("inf")],
        "head_type": "dpt",
        "landscape_only": False,
        "output_mode": "pts3d",
        "patch_size": patch,
        "with_local_head": head.local,
    }
    for theirs, ours in _HEAD_WIDTHS.items():
        if getattr(head, ours) != getattr(HeadConfig(), ours):
            written[theirs] = getattr(head, ours)
    return written
