import argparse
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fast3r.models.checkpoints import load_model
from fast3r.models.weight_files import read_checkpoint, read_folder, read_pickle, read_single

HYDRA = """
model:
  net:
    _target_: fast3r.models.fast3r.Fast3R
    encoder_args: {encoder_type: croco, img_size: 512, patch_size: 16, embed_dim: 64, num_heads: 4,
      depth: 4, mlp_ratio: 4, pos_embed: RoPE100, patch_embed_cls: ManyAR_PatchEmbed,
      attn_implementation: flash_attention}
    decoder_args: {decoder_type: fast3r, random_image_idx_embedding: true,
      enc_embed_dim: "${model.net.encoder_args.embed_dim}", embed_dim: 48, num_heads: 4, depth: 12,
      mlp_ratio: 4.0, qkv_bias: true, drop: 0.0, attn_drop: 0.0,
      attn_implementation: "${model.net.encoder_args.attn_implementation}"}
    head_args: {head_type: dpt, output_mode: pts3d, landscape_only: true, with_local_head: true,
      patch_size: 16, depth_mode: [exp, -.inf, .inf], conf_mode: [exp, 1, .inf],
      dpt_feature_dim: 16, dpt_last_dim: 8, dpt_layer_dims: [8, 16, 24, 32]}
    freeze: none
"""


@pytest.fixture
def stored(golden) -> dict[str, torch.Tensor]:
    return load_file(golden.folder / "model.safetensors")


@pytest.fixture
def run(tmp_path, stored) -> Path:
    """A folder as the reference's training leaves it."""
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(HYDRA)
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / "last.ckpt"
    weights = {f"net.{key}": value for key, value in stored.items()}
    for head in ("downstream_head", "downstream_head_local"):
        for k in range(4):
            scratch = f"net.{head}.dpt.scratch"
            weights[f"{scratch}.layer_rn.{k}.weight"] = weights[f"{scratch}.layer{k + 1}_rn.weight"]
    weights["epoch_fraction"] = torch.tensor(0.5)
    weights["train_total_samples"] = weights["train_total_images"] = torch.tensor(7)
    torch.save({"state_dict": weights, "epoch": 3, "optimizer_states": [{}]}, file)
    return tmp_path


def test_lightning_checkpoint_holds_the_same_model_as_the_published_file(golden, run) -> None:
    found = read_checkpoint(run / "checkpoints" / "last.ckpt")
    wanted = read_folder(golden.folder)
    assert found.config == wanted.config
    assert found.tensors.keys() == wanted.tensors.keys()
    assert all(torch.equal(found.tensors[name], wanted.tensors[name]) for name in wanted.tensors)


def test_lightning_checkpoint_has_the_temperature_off(run) -> None:
    # The run's config does not mention it, which would turn it on in a published config.
    assert (
        read_checkpoint(run / "checkpoints" / "last.ckpt").config.fusion.temperature_views is None
    )


@pytest.mark.parametrize(
    "prefix", ["", "net.", "_forward_module.net.", "net._orig_mod.", "module.net."]
)
@pytest.mark.parametrize("nested", [True, False])
def test_wrappers_leave_no_trace(golden, tmp_path, stored, prefix, nested) -> None:
    weights = {prefix + key: value for key, value in stored.items()}
    weights["_forward_module.epoch_fraction"] = torch.tensor(0.5)
    torch.save({"state_dict": weights} if nested else weights, tmp_path / "last.pt")
    found = read_checkpoint(tmp_path / "last.pt", golden.config("config"))
    assert found.tensors.keys() == read_folder(golden.folder).tensors.keys()


def test_config_may_lie_beside_the_checkpoint(golden, tmp_path, stored) -> None:
    torch.save({"state_dict": stored}, tmp_path / "last.pth")
    (tmp_path / "config.json").write_text((golden.folder / "config.json").read_text())
    assert read_checkpoint(tmp_path / "last.pth").config == golden.config("config")


def test_checkpoint_without_config_says_where_to_put_one(tmp_path, stored) -> None:
    torch.save({"state_dict": stored}, tmp_path / "last.pt")
    with pytest.raises(
        ValueError, match=r"\.hydra/config.yaml or a config.json beside it, or give"
    ):
        load_model(tmp_path / "last.pt")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("model:", "nodel:", "has no model.net with encoder_args"),
        ("    head_args", "    hat_args", "has no model.net with encoder_args"),
        ("encoder_args.embed_dim}", "encoder_args.width}", "cannot follow the reference"),
        ("croco", "dino_v2", "config.yaml: encoder_args.encoder_type must be 'croco'"),
        ("exp, 1", "sigmoid, 1", "config.yaml: head_args.conf_mode must be"),
        ("freeze: none", "freeze: [none", "config.yaml cannot be read as YAML: while parsing"),
    ],
)
def test_run_config_that_cannot_be_read_is_named(run, old, new, message) -> None:
    (run / ".hydra" / "config.yaml").write_text(HYDRA.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_checkpoint(run / "checkpoints" / "last.ckpt")


class Harmful:
    """Pickled as a call that would make a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def test_code_in_a_checkpoint_is_named_and_never_run(tmp_path, stored) -> None:
    made = tmp_path / "made"
    file = tmp_path / "last.ckpt"
    torch.save({"state_dict": stored, "hyper_parameters": Harmful(made)}, file)
    with pytest.raises(ValueError, match=r"holds the Python object \w+\.mkdir.*keep only its tens"):
        load_model(file)
    assert not made.exists()


def test_the_advice_for_checkpoints_with_code_works(golden, tmp_path, stored) -> None:
    file = tmp_path / "last.ckpt"
    torch.save({"state_dict": stored, "hyper_parameters": Path("objects")}, file)
    with pytest.raises(ValueError, match="If you trust the file") as refusal:
        read_pickle(file)
    advice = str(refusal.value).split("safe: ")[1]
    exec(advice.replace("'weights.pt'", repr(str(tmp_path / "weights.pt"))), {"torch": torch})
    found = read_checkpoint(tmp_path / "weights.pt", golden.config("config"))
    assert found.tensors.keys() == read_folder(golden.folder).tensors.keys()


def test_command_lines_kept_by_dust3r_are_read(tmp_path) -> None:
    torch.save({"args": argparse.Namespace(lr=1e-4), "model": {}}, tmp_path / "dust3r.pth")
    assert read_pickle(tmp_path / "dust3r.pth")["args"].lr == 1e-4


def test_dust3r_checkpoint_is_not_taken_for_a_model(tmp_path) -> None:
    torch.save({"model": {"mask_token": torch.zeros(1)}}, tmp_path / "dust3r.pth")
    with pytest.raises(ValueError, match=r"is a DUSt3R checkpoint.*fast3r train start\.path="):
        load_model(tmp_path / "dust3r.pth")


@pytest.mark.parametrize(
    "content", [b"", b"not a pickle", b"PK\x03\x04 broken", b"\x80\x02]q\x00."]
)
def test_file_that_is_no_checkpoint_is_named(tmp_path, content) -> None:
    file = tmp_path / "last.ckpt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"last.ckpt (is not a|holds a list)"):
        load_model(file)


def test_state_dict_that_is_none_is_named(tmp_path) -> None:
    torch.save({"state_dict": [1]}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"the state_dict in .*last.pt is a list"):
        load_model(tmp_path / "last.pt")


@pytest.mark.parametrize("config", ["{", 100_000 * "["])
def test_config_in_a_single_file_must_be_json(tmp_path, config: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"config": config})
    with pytest.raises(ValueError, match=r"the config in .*a.safetensors is not JSON"):
        load_model(tmp_path / "a.safetensors")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_checkpoint_is_named(tmp_path, stored, share) -> None:
    file = tmp_path / "last.ckpt"
    torch.save({"state_dict": stored}, file)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(
        ValueError, match=r"last.ckpt is not a.* torch checkpoint.*; fetch it again"
    ):
        load_model(file)


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.5, 0.99])
def test_truncated_safetensors_is_named(golden, tmp_path, share) -> None:
    content = (golden.folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[: int(len(content) * share)])
    (tmp_path / "config.json").write_text((golden.folder / "config.json").read_text())
    with pytest.raises(ValueError, match=r"model.safetensors is not a complete safetensors file"):
        load_model(tmp_path)


def test_foreign_tensors_are_named(golden, tmp_path) -> None:
    names = [f"encoder.layer{k}.weight" for k in range(7)]
    save_file({name: torch.zeros(1) for name in names}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((golden.folder / "config.json").read_text())
    message = "7 tensors that no Fast3R model has: encoder.layer0.weight, .*4.weight, ...$"
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "", "{'single': 'quotes'}"])
def test_config_that_is_no_json_dictionary_is_named(tmp_path, content) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config.json (is not JSON|must be a dictionary)"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file_of_a_folder_is_named(golden, tmp_path, name) -> None:
    for file in {"config.json", "model.safetensors"} - {name}:
        (tmp_path / file).write_bytes((golden.folder / file).read_bytes())
    with pytest.raises(ValueError, match=f"has no {name}; a model folder holds"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "part", ["zero_pp_rank_0_mp_rank_00_optim_states.pt", "checkpoint/zero_pp_rank_0_states.pt"]
)
def test_zero_checkpoint_in_parts_is_refused_with_the_way_to_join_it(tmp_path, part) -> None:
    file = tmp_path / "last.ckpt" / part
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    with pytest.raises(ValueError, match="convert_zero_checkpoint_to_fp32_state_dict"):
        load_model(tmp_path / "last.ckpt")


def test_single_file_without_config_says_what_to_do(golden) -> None:
    with pytest.raises(ValueError, match="holds no config; put it into a folder"):
        read_single(golden.folder / "model.safetensors")
