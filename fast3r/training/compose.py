"""From presets and overrides on the command line to one typed config.

Hydra composes YAML from `conf/`: a preset chooses a model and data and changes what it has to.
What comes out is read strictly into dataclasses, whose defaults are those of this package.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fast3r.documents import read_yaml
from fast3r.plain_values import plain, receive
from fast3r.training.config import TrainingConfig

CONF = Path(__file__).parent / "conf"
"""Folder of the YAML that presets are made of."""

_GROUPS = ("preset", "model", "data")


def options_of(group: str) -> list[str]:
    """Return the names of what can be chosen for a group, such as the presets."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def compose(overrides: Sequence[str]) -> TrainingConfig:
    """Return the config that a command line describes.

    Args:
        overrides: Such as `preset=small steps=1000 data.rendered.tokens_per_step=2048`, in Hydra's
            syntax; later ones win. A preset is a name, or a YAML file of one's own with the same
            keys, of which `preset` names the one that it changes.

    Raises:
        ValueError: A key is not known or a value has the wrong type; the message names the
            nearest known keys.
    """
    chosen = [*_from_file(overrides), *(o for o in overrides if not _is_file(o))]
    if not any(o.startswith("preset=") for o in chosen):
        raise ValueError(
            f"name a preset to begin with, such as preset=smoke; there are {_listed('preset')}"
        )
    for override in chosen:
        _check_choice(override)
    chosen += _without_other_length(chosen)
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            composed = hydra_compose("training", [_forced(o) for o in chosen])
        entries = OmegaConf.to_container(composed, resolve=True)
    except OverrideParseException as error:
        raise ValueError(f"cannot read {error.override!r}: {_first_lines(error)}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(_first_lines(error)) from error
    assert isinstance(entries, dict)
    return receive(TrainingConfig, entries)  # pyright: ignore[reportArgumentType]


def written(config: TrainingConfig) -> str:
    """Return a config as YAML that `preset=FILE` reads."""
    return yaml.safe_dump(plain(config), sort_keys=False)


def _is_file(override: str) -> bool:
    name = override.removeprefix("preset=")
    return name != override and name.endswith((".yaml", ".yml"))


def _from_file(overrides: Sequence[str]) -> Iterator[str]:
    """Yield the content of a preset file as overrides, which Hydra knows how to put in place."""
    for override in filter(_is_file, overrides):
        path = Path(override.removeprefix("preset=")).expanduser()
        entries = read_yaml(path)
        if not isinstance(entries, Mapping):
            raise ValueError(f"{path} must hold keys and values, as the presets do")
        for key, value in entries.items():
            grouped = key in _GROUPS and isinstance(value, str)
            yield f"{key}={value}" if grouped else f"{key}={_written(value)}"


def _written(value: Any) -> str:
    """Return a value in the syntax of Hydra's overrides."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_written(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _without_other_length(chosen: Sequence[str]) -> list[str]:
    """Let a length in steps replace one of a preset in minutes, and the other way round."""
    given = {key for key in ("steps", "minutes") if any(o.startswith(f"{key}=") for o in chosen)}
    if len(given) != 1:
        return []
    return ["minutes=null" if given == {"steps"} else "steps=null"]


def _check_choice(override: str) -> None:
    key, given, name = override.partition("=")
    if not (key and given):
        raise ValueError(f"{override!r} is no override; write key=value, such as steps=1000")
    if key in _GROUPS and not name.startswith("{") and name not in options_of(key):
        near = difflib.get_close_matches(name, options_of(key), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"there is no {key} {name!r}; {hint}There are {_listed(key)}")


def _forced(override: str) -> str:
    """Let an override through to the typed config, which knows all keys and tells of wrong ones."""
    key, _, value = override.partition("=")
    choice = key in _GROUPS and not value.startswith("{")
    return override if choice or key[0] in "+~" else f"++{override}"


def _listed(group: str) -> str:
    return ", ".join(options_of(group))


def _first_lines(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines()[:2])
