"""fast3r: 3D from many photos in one forward pass.

Everything here is loaded on first use, so that `import fast3r` costs nothing.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fast3r.cli.many.worker import SceneWorker
    from fast3r.export.formats import load, save
    from fast3r.geometry.cameras import Camera
    from fast3r.models.checkpoints import load_model
    from fast3r.models.fast3r import Fast3R
    from fast3r.scene.reconstruction import Reconstruction
    from fast3r.scene.refinement.refine import refine
    from fast3r.scene.run import reconstruct
    from fast3r.scene.sharing import shared_model
    from fast3r.views.load import load_views
    from fast3r.views.view import View
    from fast3r.viz.viewer.page import show

_HOME = {
    "Camera": "fast3r.geometry.cameras",
    "Fast3R": "fast3r.models.fast3r",
    "Reconstruction": "fast3r.scene.reconstruction",
    "SceneWorker": "fast3r.cli.many.worker",
    "View": "fast3r.views.view",
    "load": "fast3r.export.formats",
    "load_model": "fast3r.models.checkpoints",
    "load_views": "fast3r.views.load",
    "reconstruct": "fast3r.scene.run",
    "refine": "fast3r.scene.refinement.refine",
    "save": "fast3r.export.formats",
    "shared_model": "fast3r.scene.sharing",
    "show": "fast3r.viz.viewer.page",
}

__all__ = [
    "Camera",
    "Fast3R",
    "Reconstruction",
    "SceneWorker",
    "View",
    "__version__",
    "load",
    "load_model",
    "load_views",
    "reconstruct",
    "refine",
    "save",
    "shared_model",
    "show",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'fast3r' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _show_scenes_in_notebooks() -> None:
    """Let a scene that ends a notebook's cell display itself; nothing is loaded until one does."""
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = None if ask is None else ask()
    if shell is not None:
        shell.display_formatter.formatters["text/html"].for_type_by_name(
            "fast3r.scene.reconstruction",
            "Reconstruction",
            lambda scene: import_module("fast3r.viz.notebook").scene_html(scene),
        )


_show_scenes_in_notebooks()
