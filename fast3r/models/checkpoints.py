"""Models from weights, and weights from models: bundled, published and training files."""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from fast3r.models.attention import AttentionKernel
from fast3r.models.config import Fast3RConfig
from fast3r.models.config_files import write_config
from fast3r.models.fast3r import Fast3R
from fast3r.models.hub import fetch
from fast3r.models.licences import refuse_metadata, refuse_repository
from fast3r.models.names import published_tensors
from fast3r.models.precision import Precision
from fast3r.models.published_config import write_published_config
from fast3r.models.weight_files import (
    CONFIG_KEY,
    Weights,
    first_line,
    misfit,
    read_checkpoint,
    read_folder,
    read_pair,
    read_single,
)

BUNDLED = {"small": Path(__file__).parent / "weights" / "small.safetensors"}
"""Models that come with the package."""

REPOSITORIES = {"large": "jedyang97/Fast3R_ViT_Large_512"}
"""Short names of models on the hub."""

Format = Literal["fast3r", "published"]


def load_model(
    name_or_path: str | Path = "small",
    *,
    device: str | torch.device | None = None,
    precision: Precision = "float32",
    attention: AttentionKernel = "auto",
    config: Fast3RConfig | None = None,
    commercial_only: bool = False,
) -> Fast3R:
    """Return a model in evaluation mode.

    Args:
        name_or_path: "small" (bundled), "large" (published, from the hub), a hub repository
            "owner/name", a folder with config.json and model.safetensors in our format or the
            published one, a .safetensors file of ours, or a checkpoint of our training or the
            reference's (.ckpt, .pt, .pth). A published config that does not mention the attention
            temperature has it on, as in the reference; a training checkpoint of theirs has it off,
            as in the reference's evaluation.
        device: Where the weights go; by default CUDA or MPS where there is one, else the CPU.
        precision: Type of the weights, and with it of most of the work.
        attention: Kernel to use on CUDA; "auto" chooses by hardware.
        config: Shape of the model, instead of the one that is stored with the weights.
        commercial_only: Refuse weights that do not say that commercial use is allowed.

    Raises:
        ValueError: The weights are not there, not whole, not safe to read, not licensed as asked
            for, or do not fit.
    """
    _check_choice("precision", precision, Precision)
    target = _device(device)
    read = commercial_weights if commercial_only else read_weights
    weights = read(name_or_path, config=config)
    model = _empty_model(weights, attention)
    model.to(getattr(torch, precision)).to_empty(device=target)
    model.load_state_dict(weights.tensors)
    return model.eval()


def read_weights(name_or_path: str | Path, *, config: Fast3RConfig | None = None) -> Weights:
    """Return the weights and config that a name or path stands for; see `load_model`."""
    weights = _read(name_or_path, config)
    return weights if config is None else replace(weights, config=config)


def commercial_weights(name_or_path: str | Path, *, config: Fast3RConfig | None = None) -> Weights:
    """Return weights that may be used commercially; see `load_model`.

    Raises:
        ValueError: They may not, or do not say so.
    """
    refuse_repository(REPOSITORIES.get(str(name_or_path), str(name_or_path)))
    weights = read_weights(name_or_path, config=config)
    refuse_metadata(weights.source, weights.metadata)
    return weights


def save_model(
    model: Fast3R,
    path: str | Path,
    *,
    format: Format = "fast3r",
    dtype: torch.dtype | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a model as a folder, or as a single file where `path` ends in .safetensors.

    Args:
        model: What to write.
        path: Folder, made where it does not exist, or file.
        format: "published" writes a folder that the reference reads as well.
        dtype: Type of the stored numbers; by default that of the model.
        metadata: What the file is to say of itself, such as its licence.

    Raises:
        ValueError: The published format cannot hold this model, or not in a single file.
        OSError: The disk is full, or a permission is missing.
    """
    _check_choice("format", format, Format)
    weights = Weights("the model", model.config, model.state_dict(), dict(metadata or {}))
    _write(weights, Path(path), format, dtype)


def convert(source: str | Path, target: str | Path, *, format: Format) -> None:
    """Write weights that `load_model` reads in one of the two formats; see `save_model`."""
    _check_choice("format", format, Format)
    weights = read_weights(source)
    _empty_model(weights, "auto")
    _write(weights, Path(target), format, dtype=None)


def model_hash(model: Fast3R | str | Path) -> str:
    """Return 16 hexadecimal digits that tell models apart.

    They depend on the config and on the values of the weights as float32 numbers, but not on the
    format they are stored in.
    """
    if isinstance(model, Fast3R):
        config, tensors = model.config, model.state_dict()
    else:
        weights = read_weights(model)
        config, tensors = weights.config, weights.tensors
    digest = hashlib.sha256(write_config(config).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().to("cpu", torch.float32).numpy().tobytes())
    return digest.hexdigest()[:16]


def _check_choice(name: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        raise ValueError(f"{name} must be one of {get_args(choices)}, got {value!r}")


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be one such as 'cpu' or 'cuda', got {device!r}") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r} was asked for, but torch finds no CUDA device")
    return chosen


def _read(name_or_path: str | Path, config: Fast3RConfig | None) -> Weights:
    name, path = str(name_or_path), Path(name_or_path).expanduser()
    if name in BUNDLED:
        if not BUNDLED[name].is_file():
            raise ValueError(
                f"the bundled weights {BUNDLED[name]} are missing; install the package again"
            )
        return read_single(BUNDLED[name])
    if path.is_dir():
        return read_folder(path)
    if path.is_file():
        safe = path.suffix == ".safetensors"
        return read_single(path) if safe else read_checkpoint(path, config)
    repository = REPOSITORIES.get(name, name)
    weights_suffix = path.suffix in (".safetensors", ".ckpt", ".pt", ".pth")
    if weights_suffix or not re.fullmatch(r"\w[\w.-]*/[\w.-]+", repository):
        known = ", ".join([*BUNDLED, *REPOSITORIES])
        raise ValueError(
            f"there is no model {name!r}: it is no file or folder, none of {known}, and no hub "
            "repository, which is written owner/name"
        )
    return read_pair(fetch(repository, "config.json"), fetch(repository, "model.safetensors"))


def _empty_model(weights: Weights, attention: AttentionKernel) -> Fast3R:
    """Return the model without memory for its weights, once they are known to fit it."""
    layers = weights.config.encoder.depth + weights.config.fusion.depth
    if layers > len(weights.tensors):
        raise ValueError(
            f"{weights.source} does not fit its config: {len(weights.tensors)} tensors are too few "
            f"for {layers} layers"
        )
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element")
            model = Fast3R(weights.config, attention=attention)
    except (OverflowError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"{weights.source}: no network has the shape of its config: {first_line(error)}"
        ) from error
    problem = misfit(weights.tensors, model.state_dict())
    if problem:
        raise ValueError(f"{weights.source} does not fit its config: {problem}")
    return model


def _write(weights: Weights, path: Path, format: Format, dtype: torch.dtype | None) -> None:
    tensors = {n: t.detach().to("cpu", dtype).contiguous() for n, t in weights.tensors.items()}
    metadata = dict(weights.metadata)
    single = path.suffix == ".safetensors"
    if format == "published":
        if single:
            raise ValueError(f"the published format is a folder; give one instead of {path}")
        config = write_published_config(weights.config)
        tensors, aliases = published_tensors(tensors)
        metadata |= {"format": "pt", **aliases}
    else:
        config = write_config(weights.config)
    folder = path.parent if single else path
    folder.mkdir(parents=True, exist_ok=True)
    if single:
        metadata[CONFIG_KEY] = json.dumps(json.loads(config))
        _replace(path, lambda part: save_file(tensors, part, metadata))
        return
    _replace(path / "model.safetensors", lambda part: save_file(tensors, part, metadata))
    _replace(path / "config.json", lambda part: part.write_text(config + "\n", encoding="utf-8"))


def _replace(target: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name first, so that it is never seen half written."""
    part = target.with_name(f".{target.name}.part")
    try:
        part.touch()
        mode = part.stat().st_mode
        try:
            write(part)
        except SafetensorError as error:
            raise OSError(f"cannot write {target}: {error}") from error
        part.chmod(mode)  # safetensors leaves files that nobody else may read
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
