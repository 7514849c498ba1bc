"""What each command can be told. No import here is heavy, so that `--help` answers at once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, UseAppendAction, arg

Formats = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME")]


@dataclass(frozen=True)
class Talk:
    """How much a command says on stderr."""

    quiet: FlagCreatePairsOff[bool] = False
    """Say nothing but errors."""

    verbose: FlagCreatePairsOff[bool] = False
    """Show the traceback of an error."""


@dataclass(frozen=True)
class Reconstruct:
    """Turn photos or a video into cameras and a point cloud.

    Writes cameras.json, scene.ply and report.json, and prints the name of the output folder.

    Examples:
      fast3r reconstruct photos/ --output out
      fast3r reconstruct photos/ --output out --format colmap --format glb
      fast3r reconstruct clip.mp4 --output out --fps 2
      fast3r reconstruct photos/ --output out --priors known.json
    """

    photos: Annotated[
        Positional[tuple[str, ...]], arg(metavar="PHOTOS", help_behavior_hint="(required)")
    ]
    """A folder, image files, a pattern such as 'photos/*.jpg', or a video."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the results; made where missing."""

    model: Annotated[str, arg(metavar="NAME|PATH")] = "small"
    """small (bundled), large (the published one), a folder with weights, or a hub repository."""

    format: Formats = ()
    """Also colmap, colmap-text, transforms, glb, laz, depth, npz, html, still (picture), or all."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where to compute: auto, cuda, cuda:1, mps, cpu."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the transformer; auto is bfloat16 on CUDA devices that have it."""

    seed: int = 0
    """The same seed gives the same result."""

    size: Annotated[int | None, arg(metavar="PX")] = None
    """Long side of the photos as the network sees them; by default what the model was made for."""

    fps: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Frames to take from each second of a video."""

    num_frames: Annotated[int | None, arg(metavar="INT")] = None
    """Frames to take from each video, instead of --fps."""

    masks: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of images, named like the photos, that are black where the scene is not."""

    share_focal: Literal["camera", "all", "none"] = "camera"
    """Photos that have one focal length: those of one camera and size, all, or none for sure."""

    priors: Annotated[Path | None, arg(metavar="FILE")] = None
    """What you know, as JSON or YAML: poses, GPS, distances, rigs and more; see docs/priors.md."""

    cameras: Annotated[Path | None, arg(metavar="PATH")] = None
    """Cameras you know, of some photos or all: a COLMAP model, transforms.json or cameras.json."""

    intrinsics: Literal["exif"] | None = None
    """Take focal lengths from EXIF instead of from the network."""

    gps: Literal["exif"] | None = None
    """Take places from EXIF: the world becomes east, north, up, in metres."""

    gravity: Literal["upright"] | None = None
    """The photos were taken upright: the world's z axis points up."""

    depth_maps: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of depth maps, named like the photos, in metres (.npy, .npz) or millimetres (.png)."""

    refine: FlagCreatePairsOff[bool] = False
    """Make the cameras exact by structure from motion and bundle adjustment, where they can be."""

    keep_world: FlagCreatePairsOff[bool] = False
    """Keep what the world head says, too, for comparison in the viewer."""

    min_conf_percentile: float = 30.0
    """Percentage of each photo's points, the least sure ones, that scene.ply leaves out."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Refine:
    """Make the cameras of a scene, saved by 'reconstruct --format npz', exact.

    Writes scene.npz, cameras.json, scene.ply and refinement.json, and prints the name of the output
    folder. 'reconstruct --refine' does the same in one go.

    Examples:
      fast3r refine out/scene.npz --output refined
      fast3r refine out --photos photos/ --output refined --format colmap
    """

    scene: Annotated[Positional[Path], arg(metavar="SCENE")]
    """A scene.npz, or the folder that holds it."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the results; made where missing."""

    photos: Annotated[Path | None, arg(metavar="DIR")] = None
    """Where the photos are now; by default where they were."""

    format: Formats = ()
    """Also colmap, colmap-text, transforms, glb, laz, depth, html, still (picture), or all."""

    intrinsics: Literal["auto", "shared", "own"] = "auto"
    """Shared by photos of one camera and size, each photo's own, or what explains the photos."""

    seed: int = 0
    """The same seed gives the same result."""

    min_conf_percentile: float = 30.0
    """Percentage of each photo's points, the least sure ones, that point clouds leave out."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Export:
    """Write a scene, saved by 'reconstruct --format npz', in other formats.

    Prints the name of the output folder.

    Examples:
      fast3r export out/scene.npz --output out --format colmap
      fast3r export out --output web --format html --min-conf-percentile 50
    """

    scene: Annotated[Positional[Path], arg(metavar="SCENE")]
    """A scene.npz, or the folder that holds it."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the results; made where missing."""

    format: Formats = ()
    """Of ply, colmap, colmap-text, transforms, glb, laz, depth, npz, html, still, all."""

    min_conf_percentile: float = 30.0
    """Percentage of each photo's points, the least sure ones, that point clouds leave out."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Demo:
    """Open a page on which photos become a scene: drop them, look around, download.

    Prints the address. Nothing leaves this machine, and what visitors add is deleted after use.

    Examples:
      fast3r demo
      fast3r demo --model small --host 0.0.0.0 --port 8080
    """

    model: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME|PATH")] = ()
    """What visitors may choose from, the first by default: small, large, a folder with weights, or
    a hub repository; repeat it for more. Without it small and large."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where to compute: auto, cuda, cuda:1, mps, cpu."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the transformer; auto is bfloat16 on CUDA devices that have it."""

    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Where to listen; 0.0.0.0 lets other machines in."""

    port: int = 7860
    """Where to listen; the next free one is taken where it is in use."""

    share: FlagCreatePairsOff[bool] = False
    """Ask gradio.live for a public link, through which photos then pass."""

    max_views: int = 300
    """Photos and video frames of one visitor."""

    max_upload_mib: float = 1024.0
    """Size of one upload."""

    max_queue: int = 20
    """Visitors that may wait for the device."""

    keep_minutes: float = 60.0
    """Time until photos and results of visitors who do nothing are deleted."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class View:
    """Look at a scene, saved by 'reconstruct --format npz', in a browser.

    Prints the address of the page, which lives until Ctrl-C. No browser is needed on this machine.

    Examples:
      fast3r view out
      fast3r view out/scene.npz --port 9000
      ssh -L 8080:127.0.0.1:8080 server fast3r view out    (then open http://127.0.0.1:8080)
    """

    scene: Annotated[Positional[Path], arg(metavar="SCENE", help_behavior_hint="(required)")]
    """A scene.npz, or the folder that holds it."""

    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Where to listen; 0.0.0.0 lets other machines in."""

    port: int = 8080
    """Where to listen; if it is taken, or 0, a free one is."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Render:
    """Draw a scene, saved by 'reconstruct --format npz', without a display.

    Writes still.png, depth.png (photo, depth and confidence of views), top-view.png (a map with the
    cameras) and turntable.gif, and prints the name of the output folder.

    Examples:
      fast3r render out --output pictures
      fast3r render out --output pictures --picture turntable --film mp4 --frames 120
      fast3r render out --output pictures --color-by confidence --views '1-20,*_left.jpg'
    """

    scene: Annotated[Positional[Path], arg(metavar="SCENE", help_behavior_hint="(required)")]
    """A scene.npz, or the folder that holds it."""

    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the pictures; made where missing."""

    picture: UseAppendAction[tuple[Literal["still", "depth", "top-view", "turntable"], ...]] = ()
    """Draw only this; repeat it for more."""

    film: Literal["gif", "webp", "mp4"] = "gif"
    """Format of the turntable; webp is smaller and finer, mp4 needs the extra media."""

    path: Literal["auto", "orbit", "swing", "photos"] = "auto"
    """How the camera of the turntable moves: all around, to and fro, or along the places of the
    photos; auto goes around where photos were taken from all sides, else to and fro."""

    frames: int = 60
    """Pictures of the turntable."""

    seconds: float = 6.0
    """How long one round of the turntable lasts."""

    size: Annotated[tuple[int, int], arg(metavar="WIDTH HEIGHT")] = (1200, 800)
    """Of still and map, in pixels."""

    film_size: Annotated[tuple[int, int], arg(metavar="WIDTH HEIGHT")] = (640, 480)
    """Of the turntable, in pixels."""

    color_by: Literal["photo", "confidence", "view", "height"] = "photo"
    """What the colours of the points tell."""

    views: Annotated[str | None, arg(metavar="NUMBERS|NAMES")] = None
    """Draw only these photos: numbers from 1 as on the map, names or patterns, with commas."""

    min_conf_percentile: float = 30.0
    """Percentage of each photo's points, the least sure ones, that are left out."""

    point_size: float = 1.0
    """Makes the points larger or smaller; 1 just leaves no holes."""

    hide_cameras: FlagCreatePairsOff[bool] = False
    """Draw points only; the map shows the cameras nevertheless."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Serve:
    """Answer HTTP requests: photos or a video in as a job, its results out.

    Prints the address. Jobs survive a restart. With FAST3R_API_KEY set, clients must know that key.

    Examples:
      fast3r serve
      fast3r serve --folder /srv/fast3r --model large --device cuda:0 --device cuda:1
    """

    folder: Annotated[Path, arg(metavar="DIR")] = Path("fast3r-jobs")
    """Where jobs and results are kept; made where missing."""

    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Where to listen; 0.0.0.0 lets other machines in."""

    port: int = 8000
    """Where to listen; 0 takes a free one."""

    api_key_file: Annotated[Path | None, arg(metavar="FILE")] = None
    """File that holds the key, instead of FAST3R_API_KEY."""

    model: Annotated[str, arg(metavar="NAME|PATH")] = "small"
    """small (bundled), large (the published one), a folder with weights, or a hub repository."""

    device: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME")] = ()
    """Where to compute: auto, cuda, cuda:1, mps, cpu; repeat it for one worker on each."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the transformer; auto is bfloat16 on CUDA devices that have it."""

    max_queue: int = 20
    """Jobs that may wait; further ones are told to come back later."""

    max_views: int = 300
    """Photos and video frames of one job."""

    max_upload_mib: float = 1024.0
    """Size of one job's uploads."""

    max_megapixels: float = 100.0
    """Size of one photo; larger ones are left out."""

    job_timeout_s: float = 1800.0
    """Time for one job."""

    keep_hours: float = 24.0
    """Time until results are deleted."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Convert:
    """Rewrite the weights of a model in another format.

    Prints the name of the target.

    Examples:
      fast3r convert jedyang97/Fast3R_ViT_Large_512 weights/large
      fast3r convert weights/large weights/large-published --format published
    """

    source: Annotated[Positional[str], arg(metavar="SOURCE")]
    """A model's name, a folder or file with weights, or a hub repository."""

    target: Annotated[Positional[Path], arg(metavar="TARGET")]
    """Folder for config.json and model.safetensors, or a file that ends in .safetensors."""

    format: Literal["fast3r", "published"] = "fast3r"
    """Ours, or the one that the authors' code reads."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Doctor:
    """Tell what this machine has, what is missing, and about how many photos fit.

    Examples:
      fast3r doctor
    """

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Evaluate:
    """Measure models, COLMAP and others on a benchmark, and write a report.

    Results that are there already are not made again, so a run that was stopped goes on. Prints the
    name of the report. Without a benchmark it tells which there are.

    Examples:
      fast3r evaluate procedural --views 2 4 8 --methods fast3r colmap-incremental trivial
      fast3r evaluate posed-photos photos/ --model small --output results
      fast3r evaluate re10k data/re10k --model large --slurm gpu --jobs 8
      fast3r evaluate scaling --model small
    """

    benchmark: Annotated[Positional[str], arg(metavar="BENCHMARK")] = ""
    """Name of the benchmark."""

    root: Annotated[Positional[Path | None], arg(metavar="ROOT")] = None
    """Folder of its dataset, where it has one."""

    methods: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("fast3r", "trivial")
    """fast3r, fast3r-world-points, fast3r-refined, colmap-incremental, colmap-global, trivial, or
    python:MODULE:FUNCTION for any other model."""

    model: Annotated[tuple[str, ...], arg(metavar="NAME|PATH ...")] = ("small",)
    """Weights of the fast3r methods; several are measured side by side."""

    output: Annotated[Path, arg(metavar="DIR")] = Path("evaluation")
    """Folder for results and report; made where missing. One folder may hold many benchmarks."""

    views: Annotated[tuple[int, ...], arg(metavar="INT ...")] = ()
    """Photos of a case, each number a benchmark of its own; by default those of papers."""

    variant: Annotated[str | None, arg(metavar="NAME")] = None
    """Protocol, where a benchmark has several; by default its first."""

    cases: Annotated[int | None, arg(metavar="INT")] = None
    """Use only so many cases, evenly chosen."""

    size: Annotated[int | None, arg(metavar="PX")] = None
    """Long side of the photos as our models see them; by default what each was made for."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where our models compute: auto, cuda, cuda:1, mps, cpu."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of our models' transformer; auto is bfloat16 where CUDA devices have it."""

    seed: int = 0
    """Of everything random in the methods."""

    shard: Annotated[str, arg(metavar="I/N")] = "1/1"
    """Do only a part, such as 2/8; the report is of all parts in the folder."""

    jobs: int = 1
    """Do so many parts at the same time, in processes here or as jobs of a cluster."""

    slurm: Annotated[str | None, arg(metavar="PARTITION")] = None
    """Send the parts to this partition of a Slurm cluster, and wait for them."""

    hours: float = 24.0
    """Time limit of a job on a cluster."""

    report_only: FlagCreatePairsOff[bool] = False
    """Only write the report of the results that are there."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class CheckData:
    """Read a dataset from end to end and list what cannot be used.

    Prints a line for each broken frame and exits with 2 if there is any.

    Examples:
      fast3r data check co3d data/co3d_processed
      fast3r data check waymo data/waymo_processed --frames 10000
    """

    name: Annotated[Positional[str], arg(metavar="NAME", help_behavior_hint="(required)")]
    """What is in the folder; a wrong name lists those known."""

    root: Annotated[Positional[Path], arg(metavar="ROOT")]
    """The folder."""

    split: Annotated[str | None, arg(metavar="NAME")] = None
    """Part of the dataset, such as val or test; by default train."""

    frames: Annotated[int | None, arg(metavar="INT")] = None
    """Frames to read, spread evenly over the scenes; by default all."""

    seed: int = 0
    """Of the choice of frames."""

    threads: int = 8
    """Frames to read at the same time."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True, kw_only=True)
class ShowData:
    """Draw samples as training does and write a picture of their photos and depth.

    Prints the name of the picture.

    Examples:
      fast3r data show procedural --output scenes.png
      fast3r data show co3d data/co3d_processed --output co3d.png --samples 3 --views 8
    """

    name: Annotated[Positional[str], arg(metavar="NAME", help_behavior_hint="(required)")]
    """What is in the folder, or procedural; a wrong name lists those known."""

    root: Annotated[Positional[Path | None], arg(metavar="ROOT")] = None
    """The folder; none for procedural."""

    output: Annotated[Path, arg(metavar="FILE")]
    """The picture; its suffix tells the format."""

    split: Annotated[str | None, arg(metavar="NAME")] = None
    """Part of the dataset, such as val or test; by default train."""

    samples: int = 4
    """Rows of the picture."""

    views: int = 6
    """Photos of a sample."""

    seed: int = 0
    """The same seed draws the same samples."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True, kw_only=True)
class ConvertData:
    """Make a posed_rgbd folder to train on from your own photos with cameras and depth.

    Prints the name of the folder.

    Examples:
      fast3r data convert scan/transforms.json data/mine/scan
      fast3r data convert sparse/0 data/mine/room --photos images --depth depth
    """

    source: Annotated[Positional[Path], arg(metavar="SOURCE")]
    """A transforms.json, or the folder of a COLMAP model without lens distortion."""

    output: Annotated[Positional[Path], arg(metavar="OUTPUT")]
    """Folder for the scene, new or empty; scenes beside each other make a dataset."""

    photos: Annotated[Path | None, arg(metavar="DIR")] = None
    """Photos of a COLMAP model."""

    depth: Annotated[Path | None, arg(metavar="DIR")] = None
    """Depth maps of a COLMAP model: stereo/depth_maps, or PHOTO.png, .npy or .npz."""

    depth_scale: float = 0.001
    """Depth, in units of the poses, that a value of 1 in a PNG stands for."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


@dataclass(frozen=True)
class Data:
    """Check training data, look at it, or convert your own.

    Examples:
      fast3r data check co3d data/co3d_processed
      fast3r data show procedural --output scenes.png
      fast3r data convert scan/transforms.json data/mine/scan
    """


@dataclass(frozen=True)
class Train:
    """Train or fine-tune a model: a preset, and anything of it changed as KEY=VALUE.

    Presets: smoke (two minutes on a CPU), small (the bundled model, on scenes made on the way),
    finetune (the published weights on your photos, one GPU of 24 GB), base (fusion of 12 blocks),
    paper (the published run), or a YAML file of yours. The same command goes on with a run that was
    stopped. Prints the name of the newest checkpoint, which every command takes as --model.

    Examples:
      fast3r train preset=smoke
      fast3r train preset=small output=runs/mine minutes=30 data.workers=2
      fast3r train preset=small steps=1000 data.views=[2,8] launcher=slurm
      fast3r train preset=finetune data.photos.sources.mine.root=my_scenes
    """

    overrides: Annotated[Positional[tuple[str, ...]], arg(metavar="KEY=VALUE")] = ()
    """preset=NAME and changes; docs/training.md lists the keys, and a wrong one is told."""

    show: FlagCreatePairsOff[bool] = False
    """Print the whole config instead of training."""

    talk: OmitArgPrefixes[Talk] = field(default_factory=Talk)
    """Common to all commands."""


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
