"""Beginning a run with weights that exist: which parts took them, and which begin at random."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fast3r.models.checkpoints import read_weights
from fast3r.models.fast3r import Fast3R
from fast3r.models.names import DUST3R, names_for
from fast3r.models.weight_files import (
    TRAINING_CONFIG,
    is_dust3r,
    misfit,
    read_pickle,
    read_safetensors,
)
from fast3r.training.config import StartConfig


@dataclass(frozen=True)
class StartReport:
    """What a run began with."""

    source: str
    """Where weights came from."""

    loaded: tuple[str, ...]
    """Parts that took them, whole."""

    fresh: dict[str, str]
    """Parts that began at random, each with the reason."""


def begin_with(config: StartConfig, model: Fast3R) -> StartReport:
    """Give a model weights.

    Raises:
        ValueError: Weights are not there or not whole, or a part has other shapes.
    """
    assert config.path is not None
    content = _content(config.path)
    if is_dust3r(content):
        if config.parts:
            raise ValueError("start.parts does not apply to DUSt3R: it starts what it can")
        return _begin_with_dust3r(content, model, config.path)
    # A checkpoint of the reference need not have its config beside it.
    shape = None if not content or TRAINING_CONFIG in content else model.config
    tensors = read_weights(config.path, config=shape).tensors
    parts = tuple(name for name, _ in model.named_children())
    chosen = config.parts or parts
    wanted = _of_parts(chosen, model.state_dict())
    problem = misfit(_of_parts(chosen, tensors), wanted)
    if problem:
        raise ValueError(
            f"cannot begin with {config.path}: {problem}; choose parts that fit with start.parts, "
            f"of {', '.join(parts)}, or another model"
        )
    model.load_state_dict({name: tensors[name] for name in wanted}, strict=False)
    fresh = {name: "not among start.parts" for name in parts if name not in chosen}
    return StartReport(config.path, chosen, fresh)


def begin_matchers(config: StartConfig, matchers: nn.ModuleList) -> bool:
    """Give the matching losses the weights that go with the model's; say whether there are any."""
    assert config.path is not None
    stored = _content(config.path).get("state_dict", {})
    prefix = "objective.matchers."
    found = {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
    if not len(matchers) or misfit(found, matchers.state_dict()):
        return False
    matchers.load_state_dict(found)
    return True


def _begin_with_dust3r(content: Mapping[str, Any], model: Fast3R, source: str) -> StartReport:
    """Give a model the encoder of a DUSt3R checkpoint, and its head where all shapes fit.

    The head reads the fusion transformer's tokens. It fits where those are as wide as DUSt3R's
    decoder, which is 768 in its published weights; the published Fast3R is 1024 wide.
    """
    stored = {k: v for k, v in content.get("model", content).items() if isinstance(v, Tensor)}
    tensors = {ours: stored[theirs] for ours, theirs in names_for(stored, DUST3R)[0].items()}
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("encoder.position.")}
    fresh = {"fusion": "DUSt3R has no such part"}
    if model.encoder.position is not None:
        fresh["encoder.position"] = "DUSt3R has no such part"
    if model.local_head is not None:
        fresh["local_head"] = "DUSt3R has no such part"
    loaded = []
    for part in ("encoder", "world_head"):
        wanted = _of_parts([part], state)
        problem = misfit(_of_parts([part], tensors), wanted)
        if problem and part == "encoder":
            raise ValueError(f"{source} has no encoder for this model: {problem}")
        if problem:
            fresh[part] = problem
            continue
        model.load_state_dict({name: tensors[name] for name in wanted}, strict=False)
        loaded.append(part)
    return StartReport(source, tuple(loaded), fresh)


def _content(name: str) -> dict[str, Any]:
    """Return what a file of weights holds; nothing where the name is that of something else."""
    path = Path(name).expanduser()
    if not path.is_file():
        return {}
    return read_safetensors(path)[0] if path.suffix == ".safetensors" else read_pickle(path)


def _of_parts(parts: Collection[str], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: t for name, t in tensors.items() if name.partition(".")[0] in parts}
