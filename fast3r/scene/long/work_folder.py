"""The folder of a long run: one file for each pass, and what they were made from."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.documents import read_json
from fast3r.scene.numpy_files import read_arrays
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.staging import staging

_FORMAT, _VERSION = "fast3r long reconstruction", 1
# Two neighbours and what lies between them.
_RECENT = 3


class WorkFolder:
    """Keeps scenes, so that a run that was stopped goes on where it was.

    A file appears whole or not at all, so what is there can be trusted at any time.
    """

    def __init__(self, path: Path, *, model: str, options: dict[str, Any]) -> None:
        """Use a folder, which is made where missing.

        Raises:
            ValueError: It holds passes of another model or with other options, or something else,
                or its manifest is damaged.
            OSError: It cannot be written to.
        """
        self.path = path
        self._recent: dict[str, Reconstruction] = {}
        self._views_of: dict[str, list[str]] = {}
        path.mkdir(parents=True, exist_ok=True)
        for leftover in path.glob(".fast3r-*"):  # of a run that was killed while it wrote
            shutil.rmtree(leftover, ignore_errors=True)
        self._manifest: dict[str, Any] = {
            "format": _FORMAT,
            "version": _VERSION,
            "model": model,
            "options": options,
        }
        self._earlier = self._read_manifest()
        if self._earlier is not None:
            self._refuse_changes(self._earlier)

    def bind(self, views: list[tuple[str, str]]) -> None:
        """Refuse to go on with other views than before; otherwise remember them.

        Args:
            views: Name and digest of each.

        Raises:
            ValueError: A view has changed, or there are more or fewer of them.
        """
        now = [list(view) for view in views]
        if self._earlier is not None and self._earlier["views"] != now:
            raise ValueError(self._refusal(_what_changed(self._earlier["views"], now)))
        with staging(self.path) as stage:
            text = json.dumps({**self._manifest, "views": now}, indent=1)
            (stage / "manifest.json").write_text(text + "\n", encoding="utf-8")

    def descriptors(self) -> Float[Tensor, "views channels"] | None:
        """Return what each view of an earlier run is like, if that is known already.

        Raises:
            ValueError: The file is damaged.
        """
        path = self._file("descriptors")
        if self._earlier is None or not path.exists():
            return None
        kept, count = read_arrays(path).get("descriptors"), len(self._earlier["views"])
        if kept is None or kept.dtype != np.float32 or kept.ndim != 2 or len(kept) != count:
            raise ValueError(
                f"{path} is damaged: it holds no descriptors of {count} views; delete it, and "
                "the views are looked at again"
            )
        return torch.from_numpy(kept)

    def keep_descriptors(self, descriptors: Float[Tensor, "views channels"]) -> None:
        """Keep what each view is like."""
        with staging(self.path) as stage:
            np.savez(stage / "descriptors.npz", descriptors=descriptors.numpy())

    def make(self, name: str, views: list[str], make: Callable[[], Reconstruction]) -> None:
        """Write a scene of views of these names, unless it is there already."""
        self._views_of[name] = views
        if not self._file(name).exists():
            make().save(self._file(name))

    def load(self, name: str) -> Reconstruction:
        """Return a scene that `make` was called for.

        Raises:
            ValueError: Its file is damaged, or of other views.
        """
        if name not in self._recent:
            while len(self._recent) >= _RECENT:
                self._recent.pop(next(iter(self._recent)))
            self._recent[name] = self._read(name)
        return self._recent[name]

    def _read(self, name: str) -> Reconstruction:
        path = self._file(name)
        try:
            scene = Reconstruction.load(path)
        except ValueError as error:
            raise ValueError(f"{error}; delete it, and this pass is made again") from error
        if [view.name for view in scene.views] != self._views_of[name]:
            raise ValueError(f"{path} is of other views; delete it, and this pass is made again")
        return scene

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.npz"

    def _read_manifest(self) -> dict[str, Any] | None:
        path = self.path / "manifest.json"
        try:
            manifest = read_json(path)
        except FileNotFoundError:
            if any(self.path.glob("*.npz")):
                raise ValueError(
                    f"{self.path} holds .npz files of something else; use an empty folder"
                ) from None
            return None
        except ValueError as error:
            raise ValueError(f"{path} is damaged; delete {self.path} ({error})") from error
        if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
            raise ValueError(f"{path} is not of a long reconstruction; use another folder")
        if manifest.get("version") != _VERSION:
            raise ValueError(self._refusal("another version of fast3r"))
        if not _is_whole(manifest):
            raise ValueError(f"{path} is damaged; delete {self.path}")
        return manifest

    def _refuse_changes(self, earlier: dict[str, Any]) -> None:
        if earlier["model"] != self._manifest["model"]:
            now = self._manifest["model"]
            raise ValueError(self._refusal(f"another model ({earlier['model']}, now {now})"))
        options = self._manifest["options"]
        for name in sorted({*options, *earlier["options"]}):
            before, now = earlier["options"].get(name), options.get(name)
            if before != now:
                raise ValueError(self._refusal(f"{name}={before}, now {now}"))

    def _refusal(self, difference: str) -> str:
        return (
            f"{self.path} holds passes made with {difference}; to go on, use what was used "
            "before; to start anew, delete the folder or use another one"
        )


def _is_whole(manifest: dict[str, Any]) -> bool:
    """Return whether a manifest says all that `bind` writes."""
    model, options, views = (manifest.get(key) for key in ("model", "options", "views"))
    if not (isinstance(model, str) and isinstance(options, dict) and isinstance(views, list)):
        return False
    return all(
        isinstance(view, list) and len(view) == 2 and all(isinstance(part, str) for part in view)
        for view in views
    )


def _what_changed(before: list[list[str]], now: list[list[str]]) -> str:
    if len(before) != len(now):
        return f"{len(before)} views, now {len(now)}"
    changed = [new[0] for old, new in zip(before, now, strict=True) if old != new]
    return f"other photos: {len(changed)} of {len(now)} have changed, such as {changed[0]}"
