"""Reading weights from files: safetensors, and the pickles of training runs without their code.

Whatever the source, tensors come out under our names and beside the config they belong to.
"""

import argparse
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fast3r.models.config import Fast3RConfig
from fast3r.models.config_files import read_config
from fast3r.models.low_rank import merged_state_dict
from fast3r.models.names import PUBLISHED, names_for
from fast3r.models.published_config import is_published, read_run_config

CONFIG_KEY = "config"
"""Entry of a safetensors file's metadata that holds our config."""

TRAINING_CONFIG = "fast3r_config"
"""Entry of a checkpoint of our training that holds our config."""

# Wrappers that put a prefix in front of every name: DeepSpeed, DDP, Lightning, torch.compile.
_WRAPPERS = re.compile(r"^(_forward_module\.|module\.|net\.|_orig_mod\.)+")

# Counters of the reference's training that its checkpoints hold among the weights.
_COUNTERS = {"epoch_fraction", "train_total_samples", "train_total_images"}

# What torch.save writes since 1.6; older files are plain pickles.
_ZIP = b"PK\x03\x04"

# A pickle with a few wrong bytes may ask for anything.
_CORRUPT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Weights:
    """All that a source says about a model."""

    source: str
    """Where they come from, for messages."""

    config: Fast3RConfig
    """Shape of the model."""

    tensors: dict[str, Tensor]
    """Parameters by our names, on the CPU."""

    metadata: dict[str, str] = field(default_factory=dict)
    """What the file says of itself: licence, training and the like."""


def read_folder(folder: Path) -> Weights:
    """Read config.json and model.safetensors, in our format or the published one.

    Raises:
        ValueError: A file is missing, corrupt or in a format that is not known.
    """
    if list(folder.glob("*zero_pp_rank*")) or list(folder.glob("*/*zero_pp_rank*")):
        raise ValueError(
            f"{folder} is a DeepSpeed ZeRO checkpoint in parts; consolidate it first, with "
            "lightning's convert_zero_checkpoint_to_fp32_state_dict(folder, 'last.pt') or the "
            "zero_to_fp32.py beside the parts, and load the file that this writes"
        )
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder} has no {name}; a model folder holds config.json and model.safetensors"
            )
    return read_pair(folder / "config.json", folder / "model.safetensors")


def read_pair(config_file: Path, weights_file: Path) -> Weights:
    """Read the config and the weights of a model that is stored in two files."""
    entries = _parsed(config_file.read_bytes(), config_file)
    tensors, metadata = read_safetensors(weights_file)
    source = str(weights_file)
    if is_published(entries):
        tensors, metadata = _from_published(tensors, source), {}
    return Weights(source, _config(entries, config_file), tensors, metadata)


def read_single(file: Path) -> Weights:
    """Read a single safetensors file of ours, whose metadata holds the config.

    Raises:
        ValueError: The file is missing, corrupt or without a config.
    """
    tensors, metadata = read_safetensors(file)
    if CONFIG_KEY not in metadata:
        raise ValueError(
            f"{file} holds no config; put it into a folder with its config.json, as "
            "model.safetensors, and load the folder"
        )
    config = _config(_parsed(metadata.pop(CONFIG_KEY), file), file)
    return Weights(str(file), config, tensors, metadata)


def read_checkpoint(file: Path, config: Fast3RConfig | None = None) -> Weights:
    """Read a Lightning checkpoint, or a consolidated DeepSpeed one, of our training or theirs.

    Args:
        file: A checkpoint of ours, or a pickle of tensors under the published names, with or
            without a `net.` prefix.
        config: Shape of the model. By default ours is in the checkpoint; theirs is looked for in
            `.hydra/config.yaml` of the run, then in a config.json beside the file.

    Raises:
        ValueError: The file is missing, corrupt, unsafe, not a Fast3R model, or has no config.
    """
    content = read_pickle(file)
    if is_dust3r(content):
        raise ValueError(
            f"{file} is a DUSt3R checkpoint, which is not a whole Fast3R model; begin a training "
            f"run with it: fast3r train start.path={file}"
        )
    stored = content.get("state_dict", content)
    if not isinstance(stored, Mapping):
        raise ValueError(f"the state_dict in {file} is a {type(stored).__name__}, not a dictionary")
    if TRAINING_CONFIG in content:
        ours = _config(_parsed(content[TRAINING_CONFIG], file), file)
        return Weights(str(file), ours, _of_network(stored))
    named = {_WRAPPERS.sub("", str(key)): value for key, value in stored.items()}
    tensors = {
        key: value
        for key, value in named.items()
        if isinstance(value, Tensor) and key not in _COUNTERS
    }
    return Weights(str(file), config or _config_beside(file), _from_published(tensors, str(file)))


def is_dust3r(content: Mapping[str, Any]) -> bool:
    """Say whether this is what a checkpoint of DUSt3R holds."""
    stored = content.get("model", content)
    return isinstance(stored, Mapping) and "mask_token" in stored


def read_safetensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors, mapped from disk rather than read, and the metadata.

    Raises:
        ValueError: The file is missing or not complete.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            return {key: opened.get_tensor(key) for key in opened.keys()}, metadata  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{file} is not a complete safetensors file ({error}); fetch it again"
        ) from error


def read_pickle(file: Path) -> dict[str, Any]:
    """Return the content of a torch checkpoint, without running any code that it names.

    Raises:
        ValueError: The file is missing, corrupt, or holds more than tensors and plain values.
    """
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    with file.open("rb") as opened:
        mapped = opened.read(4) == _ZIP  # so that the optimizer's state is never read
    try:
        # DUSt3R keeps its command line in an argparse.Namespace, which only holds values.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            # Over damage torch warns of its own inner workings, before it fails.
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is None and not mapped:
            raise ValueError(f"{file} is not a torch checkpoint; fetch it again") from error
        found = f"the Python object {named[1]}" if named else "more than tensors"
        raise ValueError(
            f"{file} holds {found}, and to load it could run any code. "
            "If you trust the file, keep only its tensors, on a machine where that is safe: "
            f"torch.save({{'state_dict': torch.load({str(file)!r}, weights_only=False)"
            "['state_dict']}, 'weights.pt')"
        ) from error
    except _CORRUPT as error:
        raise ValueError(
            f"{file} is not a complete torch checkpoint ({first_line(error)}); fetch it again"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds a {type(content).__name__}, not a dictionary of tensors")
    return content


def _of_network(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the network from those of a LightningModule of ours."""
    prefix = "model."
    network = {key[len(prefix) :]: t for key, t in stored.items() if key.startswith(prefix)}
    return merged_state_dict(network)


def _from_published(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    found, unknown = names_for(tensors, PUBLISHED)
    if unknown:
        raise ValueError(
            f"{source} holds {len(unknown)} tensors that no Fast3R model has: {_some(unknown)}"
        )
    return {ours: tensors[theirs] for ours, theirs in found.items()}


def _config_beside(file: Path) -> Fast3RConfig:
    """Return the config of the run that wrote a checkpoint."""
    for run in (file.parent, file.parent.parent):
        if (run / ".hydra" / "config.yaml").is_file():
            return read_run_config(run / ".hydra" / "config.yaml")
    if (file.parent / "config.json").is_file():
        beside = file.parent / "config.json"
        return _config(_parsed(beside.read_bytes(), beside), beside)
    raise ValueError(
        f"{file} does not say the shape of its model: keep the run's .hydra/config.yaml or a "
        "config.json beside it, or give config="
    )


def _config(entries: Any, file: Path) -> Fast3RConfig:
    try:
        return read_config(entries)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _parsed(content: str | bytes, file: Path) -> dict[str, Any]:
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the config in {file} is not JSON ({error}); fetch it again") from error
    if not isinstance(entries, dict):
        raise ValueError(
            f"the config in {file} must be a dictionary, got a {type(entries).__name__}"
        )
    return entries


def misfit(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Say which tensors are too many, missing or of another shape; nothing if none is."""
    unexpected = [name for name in tensors if name not in wanted]
    missing = [name for name in wanted if name not in tensors]
    wrong = [
        f"{name} is {_shape(tensors[name])}, not {_shape(wanted[name])}"
        for name in wanted
        if name in tensors and tensors[name].shape != wanted[name].shape
    ]
    problems = {
        "unexpected tensors": unexpected,
        "missing tensors": missing,
        "tensors of another shape": wrong,
    }
    found = [f"{len(names)} {what}: {_some(names)}" for what, names in problems.items() if names]
    return "; ".join(found)


def _some(names: list[str]) -> str:
    """Return the first few names, for a message."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))


def first_line(error: Exception) -> str:
    """Return what an error says first."""
    return (str(error) or type(error).__name__).splitlines()[0]
