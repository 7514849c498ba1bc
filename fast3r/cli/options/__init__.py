"""What each command can be told, one file a command; light, so that `--help` answers at once."""

from fast3r.cli.options.batch import Batch
from fast3r.cli.options.convert import Convert
from fast3r.cli.options.data import CheckData, ConvertData, Data, ShowData
from fast3r.cli.options.demo import Demo
from fast3r.cli.options.doctor import Doctor
from fast3r.cli.options.evaluate import Evaluate
from fast3r.cli.options.export import Export
from fast3r.cli.options.mask import Mask
from fast3r.cli.options.plan import Plan
from fast3r.cli.options.reconstruct import Reconstruct
from fast3r.cli.options.refine import Refine
from fast3r.cli.options.render import Render
from fast3r.cli.options.scene import (
    AddToScene,
    AlignScene,
    LocalizeInScene,
    MergeScenes,
    RemoveFromScene,
    Scene,
)
from fast3r.cli.options.serve import Serve
from fast3r.cli.options.train import Train
from fast3r.cli.options.view import View

Command = (
    Reconstruct
    | Batch
    | Mask
    | Refine
    | Export
    | View
    | Render
    | Demo
    | Serve
    | Convert
    | Plan
    | Doctor
    | Evaluate
    | Train
    | CheckData
    | ShowData
    | ConvertData
    | AddToScene
    | LocalizeInScene
    | RemoveFromScene
    | MergeScenes
    | AlignScene
)

COMMANDS: dict[str, type[Command | Data | Scene]] = {
    "reconstruct": Reconstruct,
    "batch": Batch,
    "mask": Mask,
    "refine": Refine,
    "scene": Scene,
    "export": Export,
    "view": View,
    "render": Render,
    "demo": Demo,
    "serve": Serve,
    "convert": Convert,
    "plan": Plan,
    "doctor": Doctor,
    "evaluate": Evaluate,
    "train": Train,
    "data": Data,
}
"""The options of each command by its name, which is also its module in this package."""

ACTIONS: dict[type[Command | Data | Scene], dict[str, type[Command]]] = {
    Data: {"check": CheckData, "show": ShowData, "convert": ConvertData},
    Scene: {
        "add": AddToScene,
        "localize": LocalizeInScene,
        "remove": RemoveFromScene,
        "merge": MergeScenes,
        "align": AlignScene,
    },
}
"""What follows a command that is not one by itself."""
