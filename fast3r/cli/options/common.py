"""Options that several commands have, said once: their types carry their help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, UseAppendAction, arg


def optional(metavar: str, help: str | None = None) -> object:
    """Return how an option is shown whose help tells what holds without it."""
    return arg(metavar=metavar, help=help, help_behavior_hint="")


def required(metavar: str, help: str | None = None) -> object:
    """Return how an argument is shown that has to be given."""
    return arg(metavar=metavar, help=help, help_behavior_hint="(required)")


Flag = Annotated[FlagCreatePairsOff[bool], arg(help_behavior_hint="")]
Texts = UseAppendAction[tuple[str, ...]]

# --- what is read ---

_PHOTOS = "A folder, image files, a pattern such as 'photos/*.jpg', or a video."
Photos = Annotated[Positional[tuple[str, ...]], required("PHOTOS", _PHOTOS)]

_SCENE = "A scene.npz, or the folder that holds it."
SavedScene = Annotated[Positional[Path], required("SCENE", _SCENE)]

Fps = Annotated[float | None, optional("FLOAT", "Frames to take from each second of a video.")]

_NUM_FRAMES = "Frames to take from each video, instead of --fps."
NumFrames = Annotated[int | None, optional("INT", _NUM_FRAMES)]

_PRIORS = "What you know, as JSON or YAML: poses, GPS, distances, rigs and more; docs/priors.md."
Priors = Annotated[Path | None, optional("FILE", _PRIORS)]

# --- what computes ---

_MODEL = "small (bundled), large (the published one), a folder with weights, or a hub repository."
Model = Annotated[str, arg(metavar="NAME|PATH", help=_MODEL)]

_COMMERCIAL = "Refuse weights that do not say that they may be used commercially, such as large."
CommercialOnly = Annotated[Flag, arg(help=_COMMERCIAL)]

_DEVICE = "Where to compute: auto, cuda, cuda:1, mps, cpu."
Device = Annotated[str, arg(metavar="NAME", help=_DEVICE)]

_PRECISION = "Number format of the transformer; auto is bfloat16 on CUDA devices that have it."
Precision = Annotated[Literal["auto", "float32", "bfloat16"], arg(help=_PRECISION)]

_SIZE = "Long side of the photos as the network sees them; by default what that was made for."
Size = Annotated[int | None, optional("PX", _SIZE)]

_MEMORY = "Memory that the run may take, of the device or else the host; by default what is free."
MemoryGib = Annotated[float | None, optional("GIB", _MEMORY)]

_CHUNK_VIEWS = "Use overlapping chunks of N photos; by default only where one pass does not fit."
ChunkViews = Annotated[int | None, optional("N", _CHUNK_VIEWS)]

Seed = Annotated[int, arg(help="The same seed gives the same result.")]

# --- what is written ---

Output = Annotated[Path, arg(metavar="DIR", help="Folder for the results; made where missing.")]

_FORMATS = """Also colmap, colmap-text, bundler, transforms, splat, glb, laz, mesh, depth, npz,
html, still (a picture), all.""".replace("\n", " ")
Formats = Annotated[Texts, arg(metavar="NAME", help=_FORMATS)]

_PERCENTILE = "Percentage of each photo's points, the least sure ones, that point clouds leave out."
MinConfPercentile = Annotated[float, arg(help=_PERCENTILE)]

# --- pages ---

_HOST = "Where to listen; 0.0.0.0 lets other machines in."
Host = Annotated[str, arg(metavar="ADDRESS", help=_HOST)]

# --- parts ---

_SHARD = "Do only a part, such as 2/8; the summary is of all parts in the folder."
Shard = Annotated[str, arg(metavar="I/N", help=_SHARD)]

_JOBS = "Do so many parts at the same time, in processes here or as jobs of a cluster."
Jobs = Annotated[int, arg(help=_JOBS)]

_SLURM = "Send the parts to this partition of a Slurm cluster, and wait for them."
Slurm = Annotated[str | None, optional("PARTITION", _SLURM)]

Hours = Annotated[float, arg(help="Time limit of a job on a cluster.")]


@dataclass(frozen=True)
class Talk:
    """How much a command says on stderr."""

    quiet: Flag = False
    """Say nothing but errors."""

    verbose: Flag = False
    """Show the traceback of an error."""


TalkOptions = Annotated[OmitArgPrefixes[Talk], arg(help="")]
USUAL_TALK = Talk()
