"""The datasets on disk by their names."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from fast3r.data.dataset import Dataset

DATASETS = {
    "arkitscenes": "fast3r.data.datasets.arkitscenes.ArkitScenes",
    "blendedmvs": "fast3r.data.datasets.blendedmvs.open_blendedmvs",
    "co3d": "fast3r.data.datasets.co3d.Co3d",
    "habitat": "fast3r.data.datasets.habitat.Habitat",
    "megadepth": "fast3r.data.datasets.megadepth.MegaDepth",
    "posed_rgbd": "fast3r.data.datasets.posed_rgbd.PosedRgbd",
    "scannetpp": "fast3r.data.datasets.scannetpp.ScanNetPP",
    "static_things": "fast3r.data.datasets.static_things.StaticThings3D",
    "waymo": "fast3r.data.datasets.waymo.Waymo",
    "wildrgbd": "fast3r.data.datasets.wildrgbd.WildRgbd",
}
"""What opens each dataset, imported when it is asked for; its first argument is the root."""


def open_dataset(name: str, root: Path, **options: object) -> Dataset:
    """Return the dataset in a folder.

    Args:
        name: A key of `DATASETS`.
        root: Its folder.
        options: What else the dataset can be told, such as `split`.

    Raises:
        ValueError: The name or an option is not known, or the folder is laid out differently.
    """
    if name not in DATASETS:
        raise ValueError(f"there is no dataset {name!r}; known are {', '.join(DATASETS)}")
    module, _, attribute = DATASETS[name].rpartition(".")
    opener: Callable[..., Dataset] = getattr(import_module(module), attribute)
    _check_options(name, opener, options)
    return opener(root, **options)


def _check_options(
    name: str, opener: Callable[..., Dataset], options: Mapping[str, object]
) -> None:
    known = {key: kind for key, kind in get_type_hints(opener).items() if key in _options(opener)}
    for key, value in options.items():
        if key not in known:
            raise ValueError(
                f"the dataset {name} has no option {key!r}; it has {', '.join(known) or 'none'}"
            )
        choices = get_args(known[key]) if get_origin(known[key]) is Literal else (value,)
        if value not in choices:
            raise ValueError(
                f"{key} of the dataset {name} must be {' or '.join(map(repr, choices))}, "
                f"got {value!r}"
            )


def _options(opener: Callable[..., Dataset]) -> list[str]:
    """Return the names of all arguments but the root."""
    return list(inspect.signature(opener).parameters)[1:]
