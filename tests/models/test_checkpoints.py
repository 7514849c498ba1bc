import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from fast3r.models import checkpoints
from fast3r.models.checkpoints import convert, load_model, model_hash, save_model
from fast3r.models.config import SMALL
from fast3r.models.config_files import write_config
from fast3r.models.fast3r import Fast3R


def same(found: Fast3R, wanted: Fast3R) -> bool:
    """Say whether config and weights are equal."""
    a, b = found.state_dict(), wanted.state_dict()
    return found.config == wanted.config and all(torch.equal(a[name], b[name]) for name in b)


def unchecked(function: Callable) -> Callable:
    """Return a function without the check of its types, which comes before its own."""
    return getattr(function, "__wrapped__", function)


def metadata(file: Path) -> dict[str, str]:
    with safe_open(file, framework="pt") as opened:
        return opened.metadata()


def published_folder(golden, target: Path, **changes: torch.Tensor) -> Path:
    tensors = load_file(golden.folder / "model.safetensors") | changes
    save_file(tensors, target / "model.safetensors")
    (target / "config.json").write_text((golden.folder / "config.json").read_text())
    return target


def test_loaded_model_is_ready_to_use(golden) -> None:
    model = load_model(golden.folder, device="cpu")
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(p.requires_grad for p in model.parameters())
    # Convolutions are several times faster in this memory format.
    assert model.world_head.out1.weight.is_contiguous(memory_format=torch.channels_last)


def test_from_pretrained_is_load_model(golden) -> None:
    assert same(Fast3R.from_pretrained(golden.folder), load_model(golden.folder))


def test_bfloat16_weights_are_the_rounded_ones(golden) -> None:
    model = load_model(golden.folder, device="cpu", precision="bfloat16")
    wanted = load_model(golden.folder, device="cpu").to(torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert same(model, wanted)


def test_config_given_replaces_the_stored_one(golden) -> None:
    sharp = golden.config("config_attnbias")
    assert load_model(golden.folder, config=sharp).fusion.sharpness > 1.28
    assert load_model(golden.folder).fusion.sharpness == 1


def test_second_names_beside_first_ones_change_nothing(golden, tmp_path) -> None:
    stored = load_file(golden.folder / "model.safetensors")
    first = "downstream_head.dpt.scratch.layer1_rn.weight"
    second = "downstream_head.dpt.scratch.layer_rn.0.weight"
    published_folder(golden, tmp_path, **{second: torch.zeros_like(stored[first])})
    assert same(load_model(tmp_path), load_model(golden.folder))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_single_file_comes_back_whole(tiny, tmp_path, dtype) -> None:
    save_model(tiny, tmp_path / "tiny.safetensors", dtype=dtype, metadata={"licence": "CC0"})
    assert same(load_model(tmp_path / "tiny.safetensors", device="cpu"), tiny.to(dtype).float())
    assert metadata(tmp_path / "tiny.safetensors")["licence"] == "CC0"


def test_others_may_read_what_is_saved(tiny, tmp_path) -> None:
    (tmp_path / "usual").touch()
    save_model(tiny, tmp_path / "tiny.safetensors")
    assert (tmp_path / "tiny.safetensors").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_folder_comes_back_whole(tiny, tmp_path) -> None:
    save_model(tiny, tmp_path / "new" / "folder")
    assert same(load_model(tmp_path / "new" / "folder", device="cpu"), tiny)


def test_published_format_comes_back_whole(tiny, tmp_path) -> None:
    save_model(tiny, tmp_path, format="published")
    assert same(load_model(tmp_path, device="cpu"), tiny)


def test_model_without_local_head_comes_back_whole(golden, tiny, tmp_path) -> None:
    head = dataclasses.replace(tiny.config.head, local=False)
    model = golden.fill(Fast3R(dataclasses.replace(tiny.config, head=head)))
    save_model(model, tmp_path, format="published")
    assert same(load_model(tmp_path, device="cpu"), model)
    assert load_model(tmp_path, device="cpu").local_head is None


def test_published_file_is_written_as_it_was_read(golden, tmp_path) -> None:
    convert(golden.folder, tmp_path, format="published")
    wanted = load_file(golden.folder / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        expected = torch.zeros_like(tensor) if "4.resConfUnit1" in name else wanted[name]
        assert torch.equal(tensor, expected)
    aliases = {k: v for k, v in metadata(tmp_path / "model.safetensors").items() if k != "format"}
    assert len(aliases) == 8
    assert set(aliases.values()) <= found.keys()


def test_conversion_there_and_back_changes_nothing(tiny, tmp_path) -> None:
    save_model(tiny, tmp_path / "a")
    convert(tmp_path / "a", tmp_path / "b", format="published")
    convert(tmp_path / "b", tmp_path / "c.safetensors", format="fast3r")
    convert(tmp_path / "c.safetensors", tmp_path / "c.safetensors", format="fast3r")
    assert same(load_model(tmp_path / "c.safetensors", device="cpu"), tiny)


def test_published_format_is_a_folder(tiny, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"is a folder; give one instead of .*tiny.safetensors"):
        save_model(tiny, tmp_path / "tiny.safetensors", format="published")


def test_unknown_format_is_refused(tiny, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"format must be one of .*'published'.*, got 'onnx'"):
        unchecked(save_model)(tiny, tmp_path, format="onnx")


def test_a_failed_save_leaves_the_old_file(tiny, tmp_path, monkeypatch) -> None:
    save_model(tiny, tmp_path / "tiny.safetensors")

    def fail(tensors: object, file: Path, metadata: object) -> None:
        file.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(checkpoints, "save_file", fail)
    with pytest.raises(OSError, match="no space left"):
        save_model(tiny, tmp_path / "tiny.safetensors")
    assert same(load_model(tmp_path / "tiny.safetensors", device="cpu"), tiny)
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.safetensors"]


def test_bundled_model_is_the_default(tiny, tmp_path, monkeypatch) -> None:
    save_model(tiny, tmp_path / "small.safetensors", dtype=torch.bfloat16)
    monkeypatch.setitem(checkpoints.BUNDLED, "small", tmp_path / "small.safetensors")
    assert same(load_model(device="cpu"), tiny.bfloat16().float())


def test_missing_bundled_weights_are_reported(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(checkpoints.BUNDLED, "small", tmp_path / "small.safetensors")
    with pytest.raises(ValueError, match=r"small.safetensors are missing; install the package"):
        load_model("small")


@pytest.mark.parametrize(
    ("name", "repository"), [("large", "jedyang97/Fast3R_ViT_Large_512"), ("a.b/c-d", "a.b/c-d")]
)
def test_repositories_of_the_hub_are_fetched(golden, monkeypatch, name, repository) -> None:
    asked = []

    def fetch(*request: str) -> Path:
        asked.append(request)
        return golden.folder / request[1]

    monkeypatch.setattr(checkpoints, "fetch", fetch)
    assert same(load_model(name), load_model(golden.folder))
    assert asked == [(repository, "config.json"), (repository, "model.safetensors")]


@pytest.mark.parametrize(
    "name", ["huge", "./a/b", "/a/b", "a/b/c", "runs/last.ckpt", "a/b.safetensors"]
)
def test_a_name_that_means_nothing_is_refused(name) -> None:
    with pytest.raises(ValueError, match="no file or folder, none of small, large, and no hub"):
        load_model(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "abacus"}, "device must be one such as 'cpu' or 'cuda', got 'abacus'"),
        ({"precision": "int8"}, r"precision must be one of \('float32', 'bfloat16'\), got 'int8'"),
    ],
)
def test_unknown_options_are_refused(golden, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        unchecked(load_model)(golden.folder, **options)


def test_cuda_that_is_not_there_is_refused(golden, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="'cuda' was asked for, but torch finds no CUDA device"):
        load_model(golden.folder, device="cuda")


def test_wrong_shapes_are_named_with_both(golden, tmp_path) -> None:
    published_folder(golden, tmp_path, **{"encoder.enc_norm.weight": torch.ones(65)})
    message = "model.safetensors does not fit its config: 1 tensors of another shape: "
    with pytest.raises(ValueError, match=f"{message}encoder.norm.weight is 65, not 64$"):
        load_model(tmp_path)


def test_missing_and_unexpected_tensors_are_counted(tiny, tmp_path) -> None:
    save_model(tiny, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["encoder.norm.weight"], tensors["encoder.norm.bias"]
    tensors["colour"] = torch.zeros(1)
    save_file(tensors, tmp_path / "model.safetensors")
    message = (
        "1 unexpected tensors: colour; 2 missing tensors: encoder.norm.weight, encoder.norm.bias$"
    )
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path)


def test_weights_of_another_model_are_not_converted(tiny, tmp_path) -> None:
    save_model(tiny, tmp_path / "tiny")
    (tmp_path / "tiny" / "config.json").write_text(write_config(SMALL))
    with pytest.raises(ValueError, match="does not fit its config"):
        convert(tmp_path / "tiny", tmp_path / "other", format="fast3r")


def test_hash_does_not_depend_on_the_format(tiny, tmp_path) -> None:
    save_model(tiny, tmp_path / "folder", format="published")
    save_model(tiny, tmp_path / "tiny.safetensors")
    hashes = {model_hash(tiny), model_hash(tmp_path / "folder")}
    assert hashes == {model_hash(tmp_path / "tiny.safetensors")}
    assert len(hashes.pop()) == 16


def test_hash_of_a_half_precision_file_is_that_of_the_model_it_gives(tiny, tmp_path) -> None:
    save_model(tiny, tmp_path / "tiny.safetensors", dtype=torch.bfloat16)
    assert model_hash(load_model(tmp_path / "tiny.safetensors")) == model_hash(
        tmp_path / "tiny.safetensors"
    )


def test_hash_changes_with_one_weight_and_with_the_config(tiny) -> None:
    hashes = [model_hash(tiny)]
    with torch.no_grad():
        tiny.encoder.norm.bias[0] += 1e-3
    hashes.append(model_hash(tiny))
    fusion = dataclasses.replace(tiny.config.fusion, temperature_views=137)
    tiny.config = dataclasses.replace(tiny.config, fusion=fusion)
    assert len({*hashes, model_hash(tiny)}) == 3


def test_config_of_a_single_file_is_json_in_its_metadata(tiny, tmp_path) -> None:
    save_model(tiny, tmp_path / "tiny.safetensors")
    entries = json.loads(metadata(tmp_path / "tiny.safetensors")["config"])
    assert entries["encoder"]["width"] == 32


def test_a_full_disk_is_an_error_of_the_disk(tiny, tmp_path, monkeypatch) -> None:
    def fill(*_: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("fast3r.models.checkpoints.save_file", fill)
    with pytest.raises(OSError, match=r"cannot write .*tiny\.safetensors: No space left"):
        save_model(tiny, tmp_path / "tiny.safetensors")
    assert list(tmp_path.iterdir()) == []
