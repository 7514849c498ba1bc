"""Beginning a run with weights that exist: which parts took them, and which begin at random."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fast3r.models.checkpoints import read_weights, start_from_dust3r
from fast3r.models.fast3r import Fast3R
from fast3r.models.weight_files import TRAINING_CONFIG, read_pickle
from fast3r.training.config import StartConfig

_PICKLES = (".ckpt", ".pt", ".pth")


@dataclass(frozen=True)
class StartReport:
    """What a run began with."""

    source: str
    """Where weights came from."""

    loaded: tuple[str, ...]
    """Parts that took them, whole."""

    fresh: dict[str, str]
    """Parts that began at random, each with the reason."""


@dataclass(frozen=True)
class Stored:
    """What a checkpoint of training holds."""

    tensors: Mapping[str, Tensor]
    """Of the network, by our names."""

    matchers: Mapping[str, Tensor] = field(default_factory=dict)
    """Of the matching losses."""


def begin_with(config: StartConfig, model: Fast3R) -> StartReport:
    """Give a model weights.

    Raises:
        ValueError: Weights are not there or not whole, or a part has other shapes.
    """
    assert config.path is not None
    content = _content(config.path)
    if _is_dust3r(content):
        if config.parts:
            raise ValueError("start.parts does not apply to DUSt3R: it starts what it can")
        found = start_from_dust3r(model, Path(config.path).expanduser())
        return StartReport(config.path, found.loaded, found.left)
    parts = tuple(name for name, _ in model.named_children())
    wanted = config.parts or parts
    _load(_tensors(config.path, content, model), model, wanted, config.path)
    fresh = {name: "not among start.parts" for name in parts if name not in wanted}
    return StartReport(config.path, wanted, fresh)


def begin_matchers(config: StartConfig, matchers: nn.ModuleList) -> bool:
    """Give the matching losses the weights that go with the model's; say whether there are any."""
    assert config.path is not None
    content = _content(config.path)
    plain = read_plain(content)
    stored = _below("objective.matchers.", content.get("state_dict", {}))
    found = plain.matchers if plain is not None else stored
    if not len(matchers) or not _fit(found, matchers.state_dict()):
        return False
    matchers.load_state_dict(found)
    return True


def read_plain(content: Mapping[str, Mapping[str, Tensor]]) -> Stored | None:
    """Return the weights of a plain checkpoint, as training before version 0.2 wrote it."""
    if "matchers" not in content or "model" not in content:
        return None
    matchers = {name: torch.atleast_1d(value) for name, value in content["matchers"].items()}
    return Stored(content["model"], matchers)


def _is_dust3r(content: Mapping) -> bool:
    return isinstance(content.get("model"), Mapping) and "mask_token" in content["model"]


def _content(name: str) -> dict[str, Any]:
    path = Path(name).expanduser()
    return read_pickle(path) if path.is_file() and path.suffix in _PICKLES else {}


def _tensors(name: str, content: Mapping, model: Fast3R) -> Mapping[str, Tensor]:
    plain = read_plain(content)
    if plain is not None:
        return plain.tensors
    theirs = bool(content) and TRAINING_CONFIG not in content
    return read_weights(name, config=model.config if theirs else None).tensors


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load(tensors: Mapping[str, Tensor], model: Fast3R, parts: tuple[str, ...], name: str) -> None:
    state = model.state_dict()
    wanted = {key: value for key, value in state.items() if key.split(".")[0] in parts}
    missing = [key for key in wanted if key not in tensors]
    wrong = [key for key in wanted if key in tensors and tensors[key].shape != wanted[key].shape]
    extra = [key for key in tensors if key.split(".")[0] in parts and key not in wanted]
    for problem, keys in (
        ("no tensor", missing), ("a tensor of another shape", wrong), ("no place", extra)
    ):  # fmt: skip
        if keys:
            holder = "the model has" if problem == "no place" else f"{name} has"
            raise ValueError(
                f"cannot begin with {name}: {holder} {problem} for {', '.join(keys[:4])}"
                f"{', ...' if len(keys) > 4 else ''}; choose parts that fit with start.parts, of "
                f"{', '.join(child for child, _ in model.named_children())}, or another model"
            )
    model.load_state_dict({key: tensors[key] for key in wanted}, strict=False)


def _fit(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> bool:
    if tensors.keys() != state.keys():
        return False
    return all(tensors[key].shape == state[key].shape for key in state)
