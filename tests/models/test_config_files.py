import dataclasses
import json
import math

import pytest

from fast3r.models.config import SMALL, EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.config_files import read_config, write_config
from fast3r.models.published_config import write_published_config


def published(golden, name: str = "config_released") -> dict:
    return json.loads((golden.folder / f"{name}.json").read_text())


def test_published_config_is_the_default_shape(golden) -> None:
    assert read_config(published(golden)) == Fast3RConfig()


def test_published_config_is_written_as_it_was_read(golden) -> None:
    assert json.loads(write_published_config(Fast3RConfig())) == published(golden)
    assert "-Infinity" in write_published_config(Fast3RConfig())


@pytest.mark.parametrize(
    "config",
    [
        Fast3RConfig(encoder=EncoderConfig(patch=14, rope_base=50.0, mlp_ratio=3.5)),
        Fast3RConfig(fusion=FusionConfig(width=96, depth=5, heads=3, qkv_bias=False)),
        Fast3RConfig(fusion=FusionConfig(view_ids="sequential", temperature_views=137)),
        Fast3RConfig(head=HeadConfig(16, 8, (8, 16, 24, 32), local=False)),
    ],
)
def test_published_config_keeps_every_number(config) -> None:
    assert read_config(json.loads(write_published_config(config))) == config


@pytest.mark.parametrize("config", [Fast3RConfig(), SMALL])
def test_our_config_is_read_as_it_was_written(config) -> None:
    assert read_config(json.loads(write_config(config))) == config


def test_temperature_is_on_where_a_published_config_does_not_mention_it(golden) -> None:
    entries = published(golden)
    del entries["decoder_args"]["attn_bias_for_inference_enabled"]
    assert read_config(entries).fusion.temperature_views == 137


def test_training_only_entries_change_nothing(golden) -> None:
    assert read_config(published(golden, "config_manyar")) == read_config(
        published(golden, "config")
    )


def test_bounds_may_be_words(golden) -> None:
    entries = published(golden)
    entries["head_args"]["depth_mode"] = ["exp", "-inf", "inf"]
    assert read_config(entries) == Fast3RConfig()


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("encoder_args", "encoder_type", "dino_v2"),
        ("encoder_args", "pos_embed", "cosine"),
        ("encoder_args", "depth", "many"),
        ("encoder_args", "colour", "red"),
        ("decoder_args", "decoder_type", "llama"),
        ("decoder_args", "enc_embed_dim", 512),
        ("head_args", "head_type", "linear"),
        ("head_args", "patch_size", 14),
        ("head_args", "depth_mode", ["square", float("-inf"), float("inf")]),
        ("head_args", "conf_mode", ["sigmoid", 1, float("inf")]),
        ("head_args", "conf_mode", ["exp", 0, float("inf")]),
        ("head_args", "conf_mode", None),
        ("head_args", "depth_mode", "exp"),
        ("head_args", "depth_mode", 5),
        ("head_args", "dpt_layer_dims", 8),
    ],
)
def test_what_this_network_does_not_have_is_refused_by_name(golden, part, name, value) -> None:
    entries = published(golden)
    entries[part][name] = value
    # `depth` is checked with our own config, where it is `encoder.depth`.
    expected = "level_widths" if name == "dpt_layer_dims" else name
    with pytest.raises(ValueError, match=expected):
        read_config(entries)


def test_missing_entry_of_a_published_config_is_named(golden) -> None:
    entries = published(golden)
    del entries["encoder_args"]["embed_dim"]
    with pytest.raises(ValueError, match="encoder_args lacks the entry 'embed_dim'"):
        read_config(entries)


def test_missing_part_of_a_published_config_is_named(golden) -> None:
    entries = published(golden)
    del entries["head_args"]
    with pytest.raises(ValueError, match="head_args must be a dictionary, got None"):
        read_config(entries)


@pytest.mark.parametrize("encoder", [3, None])
def test_a_part_of_our_config_must_be_a_dictionary(encoder) -> None:
    with pytest.raises(ValueError, match=r"config\.encoder must be a set of keys and values, got"):
        read_config(dataclasses.asdict(SMALL) | {"encoder": encoder})


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("encoder", "colour", "red", r"there is no key config\.encoder\.colour"),
        ("encoder", "width", "320", r"config\.encoder\.width must be a whole number, got '320'"),
        ("encoder", "absolute_position", 1, "must be true or false, got 1"),
        ("encoder", "heads", 0, "config.encoder: heads must be positive, got 0"),
        ("encoder", "mlp_ratio", -1.0, "config.encoder: mlp_ratio must be positive, got -1"),
        ("encoder", "rope_base", math.nan, "config.encoder: rope_base must be positive, got nan"),
        ("fusion", "view_ids", "shuffled", r"config\.fusion\.view_ids must be .*sequential"),
        ("fusion", "temperature_views", 1.5, "temperature_views must be a whole number, got 1.5"),
        ("head", "level_widths", [1, 2, 3], "level_widths must be a list of 4"),
        ("head", "level_widths", [32, 32, -48, 64], "config.head: level_widths must be positive"),
    ],
)
def test_what_no_network_has_is_refused_by_name(part, name, value, message) -> None:
    entries = json.loads(write_config(SMALL))
    entries[part][name] = value
    with pytest.raises(ValueError, match=message):
        read_config(entries)


def test_missing_entry_of_our_config_is_named() -> None:
    entries = json.loads(write_config(SMALL))
    del entries["head"]["local"]
    with pytest.raises(ValueError, match=r"config lacks head\.local"):
        read_config(entries)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        Fast3RConfig(fusion=FusionConfig(temperature_views=50)),
        Fast3RConfig(head=HeadConfig(matches=True)),
    ],
)
def test_what_the_published_format_lacks_is_not_written_in_it(config) -> None:
    with pytest.raises(ValueError, match="save in the format 'fast3r'"):
        write_published_config(config)


def test_files_from_before_the_head_of_matches_have_none() -> None:
    entries = json.loads(write_config(Fast3RConfig()))
    del entries["head"]["matches"]
    assert read_config(entries) == Fast3RConfig()


@pytest.mark.parametrize("part", [EncoderConfig, FusionConfig])
def test_heads_must_divide_the_width(part: type) -> None:
    with pytest.raises(ValueError, match="multiple of 4 times its heads, got 100 and 3"):
        part(width=100, heads=3)


def test_fusion_must_be_deep_enough_for_four_levels() -> None:
    with pytest.raises(ValueError, match="at least 4, got 3"):
        FusionConfig(depth=3)
