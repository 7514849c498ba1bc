"""What each command can be told, one file a command; light, so that `--help` answers at once."""

from fast3r.cli.options.convert import Convert
from fast3r.cli.options.data import CheckData, ConvertData, Data, ShowData
from fast3r.cli.options.demo import Demo
from fast3r.cli.options.doctor import Doctor
from fast3r.cli.options.evaluate import Evaluate
from fast3r.cli.options.export import Export
from fast3r.cli.options.reconstruct import Reconstruct
from fast3r.cli.options.refine import Refine
from fast3r.cli.options.render import Render
from fast3r.cli.options.serve import Serve
from fast3r.cli.options.train import Train
from fast3r.cli.options.view import View

Command = (
    Reconstruct
    | Refine
    | Export
    | View
    | Render
    | Demo
    | Serve
    | Convert
    | Doctor
    | Evaluate
    | Train
    | CheckData
    | ShowData
    | ConvertData
)

COMMANDS: dict[str, type[Command | Data]] = {
    "reconstruct": Reconstruct,
    "refine": Refine,
    "export": Export,
    "view": View,
    "render": Render,
    "demo": Demo,
    "serve": Serve,
    "convert": Convert,
    "doctor": Doctor,
    "evaluate": Evaluate,
    "train": Train,
    "data": Data,
}
"""The options of each command by its name, which is also its module in this package."""

ACTIONS: dict[type[Command | Data], dict[str, type[Command]]] = {
    Data: {"check": CheckData, "show": ShowData, "convert": ConvertData},
}
"""What follows a command that is not one by itself."""
