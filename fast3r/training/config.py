"""What a training run is made of: plain frozen values that YAML fills, each with its reason."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from fast3r.cluster.slurm import SlurmConfig
from fast3r.data.config import PhotoConfig, RenderedConfig
from fast3r.models.config import Fast3RConfig
from fast3r.models.recompute import Part

Layer = Literal["qkv", "proj", "fc1", "fc2"]
"""A linear layer of a transformer block: two of the attention, two of the MLP."""

Stack = Literal["encoder", "fusion"]
"""A stack of transformer blocks."""


@dataclass(frozen=True)
class StartConfig:
    """Weights that a run begins with; those of its own last checkpoint come before them."""

    path: str | None = None
    """A model as `fast3r.load_model` takes it, a checkpoint of training, or one of DUSt3R."""

    parts: tuple[Literal["encoder", "fusion", "world_head", "local_head", "match_head"], ...] = ()
    """Parts of the model that take weights; all others begin at random. Empty: every part."""


@dataclass(frozen=True)
class DataConfig:
    """What is trained on: photos with depth from disk, or scenes rendered on the way."""

    rendered: RenderedConfig | None = None
    """Procedural scenes."""

    photos: PhotoConfig | None = None
    """Datasets on disk."""

    views: tuple[int, int] | None = None
    """Fewest and most views of a scene, instead of those of `rendered` or `photos`; the stages of
    a curriculum before the last keep their own most."""

    workers: int = 0
    """Processes on each device that make samples; 0 makes them in the process that trains."""

    render_on: Literal["trainer", "cpu"] = "trainer"
    """Where scenes are rendered without workers; with workers it is always the CPU."""

    def __post_init__(self) -> None:
        if self.rendered is not None and self.photos is not None:
            raise ValueError("give either rendered or photos, and set the other to null")
        if self.views is not None and not 1 <= self.views[0] <= self.views[1]:
            raise ValueError(f"views must be the fewest and the most, got {list(self.views)}")


@dataclass(frozen=True)
class LossConfig:
    """The terms of the loss by name, each with its weight; 0 leaves it out."""

    alpha: float = 0.2
    """Of the pointmap term: weight of the logarithm that keeps confidences from falling."""

    pose_consistency: float = 0.0
    """World map against the local map moved by the true pose."""

    normals: float = 0.0
    """Surface normals of the local map."""

    matching: float = 0.0
    """Contrast between tokens that see the same point, of the encoder and of mid-fusion."""

    patch_matches: float = 0.0
    """The head of matches should find them, and the place inside the patch: one of the model's
    own heads, that `model.head.matches` adds."""

    attention: float = 0.0
    """One head of the first two all-view blocks should look at the true matches."""

    matches_left: float = 0.1
    """Share of the weights of matching and attention that is left at the end of the run."""


@dataclass(frozen=True)
class OptimizerConfig:
    """How gradients change the weights."""

    name: Literal["adamw", "muon"] = "adamw"
    """Muon updates the matrices of the transformer blocks, AdamW all else; needs torch 2.9."""

    learning_rate: float = 1e-4
    """Peak of AdamW."""

    muon_learning_rate: float = 1.5e-3
    """Peak of Muon, whose updates are scaled to the size of AdamW's."""

    betas: tuple[float, float] = (0.9, 0.95)
    """Of AdamW."""

    weight_decay: float = 0.05
    """Decoupled."""

    decay: Literal["all", "matrices"] = "all"
    """What decays: all parameters, or the matrices of the transformer blocks only."""

    warmup: float = 0.02
    """Share of the run over which the learning rate rises."""

    end: float = 0.01
    """Learning rate at the end of the run over its peak."""

    clip_norm: float | None = 1.0
    """Longer gradients are scaled to this norm; null leaves them."""


@dataclass(frozen=True)
class LoraConfig:
    """Training of little matrices beside the large ones, which stay as they are."""

    rank: int = 16
    """Width of the little matrices."""

    alpha: float = 16.0
    """They count by alpha / rank."""

    layers: tuple[Layer, ...] = get_args(Layer)
    """Layers of each transformer block that get one."""

    stacks: tuple[Stack, ...] = get_args(Stack)
    """Stacks of blocks that do."""

    train_heads: bool = False
    """Train all weights of the heads as well."""

    def __post_init__(self) -> None:
        _check_positive("rank", self.rank)
        if not (self.layers and self.stacks):
            raise ValueError("layers and stacks must each name one at least, got an empty list")


@dataclass(frozen=True)
class HardwareConfig:
    """Where a run computes."""

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Kind of device."""

    devices: int | None = None
    """Processes on each machine, one a device. null: every GPU there is, or one process."""

    nodes: int = 1
    """Machines."""

    strategy: Literal["ddp", "fsdp2", "deepspeed"] = "ddp"
    """Of several devices: each holds the whole model (ddp) or a share of it."""

    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of encoder and fusion; losses always compute in float32."""

    half_precision_heads: bool = False
    """Whether the heads compute in bfloat16 too, where precision is bfloat16."""

    compile: bool = False
    """Fuse the transformer blocks by torch.compile; for the renderer there is
    `data.rendered.scenes.compiled`. It takes minutes once."""

    gradient_checkpointing: tuple[Part, ...] = ()
    """Parts of the model that compute their activations again to save memory."""


@dataclass(frozen=True)
class ValidationConfig:
    """Which scenes a model is measured on during training."""

    every_steps: int = 1000
    """Steps between two validations."""

    batches: int = 8
    """Samples a validation on each device; 0 leaves validation out."""

    scenes: int = 4
    """Scenes of each sample that are measured; finding the poses of one takes a while."""

    data: DataConfig | None = None
    """What is validated on; null: rendered scenes that training never sees, of its last stage, or
    other draws of the photos that are trained on."""

    pictures: int = 2
    """Scenes to draw."""


@dataclass(frozen=True)
class CheckpointConfig:
    """When a run is saved; the newest state is always checkpoints/last.ckpt."""

    every_minutes: float = 10.0
    """Minutes of training between two saves."""

    every_steps: int | None = None
    """Save after every so many steps as well."""

    keep_every_steps: int | None = None
    """Also keep a copy for good every so many steps."""


@dataclass(frozen=True)
class LogConfig:
    """What is written of a run besides its weights."""

    every_steps: int = 25
    """Steps that one line of the log is the mean of."""

    tensorboard: bool = True
    """Write curves and pictures for TensorBoard."""

    wandb: str | None = None
    """Project on Weights & Biases to send the same to."""


@dataclass(frozen=True)
class TrainingConfig:
    """One training run."""

    output: Path
    """Folder of the run: config, log, pictures, checkpoints. A run there is gone on with."""

    steps: int | None = None
    """Length of the run in updates of the weights: what makes a resumed run exact."""

    minutes: float | None = None
    """Length of the run in time instead: schedule and stages follow the clock."""

    stop_after_minutes: float = math.inf
    """End this process earlier, with a checkpoint; the same command goes on later."""

    accumulate: int = 1
    """Samples on each device whose gradients make one update."""

    seed: int = 0
    """Of weights, data and view indices."""

    start: StartConfig = field(default_factory=StartConfig)
    """Weights to begin with."""

    model: Fast3RConfig = field(default_factory=Fast3RConfig)
    """Shape of the network."""

    data: DataConfig = field(default_factory=DataConfig)
    """What is trained on."""

    loss: LossConfig = field(default_factory=LossConfig)
    """What is minimised."""

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How."""

    ema_decay: float | None = None
    """Keep a moving average of the weights, of which so much stays at each step, such as 0.999.
    It is what is validated, and what `load_model` finds in a checkpoint."""

    lora: LoraConfig | None = None
    """Train adapters only."""

    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    """Where."""

    validation: ValidationConfig = field(default_factory=ValidationConfig)
    """What is measured on the way."""

    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    """When the run is saved."""

    log: LogConfig = field(default_factory=LogConfig)
    """What is written about it."""

    launcher: Literal["local", "slurm"] = "local"
    """Run here, or as a job of a Slurm cluster."""

    slurm: SlurmConfig = field(default_factory=SlurmConfig)
    """What the job asks for; its GPUs and machines replace those of `hardware`."""

    def __post_init__(self) -> None:
        given = [value for value in (self.steps, self.minutes) if value is not None]
        if len(given) != 1 or given[0] <= 0:
            raise ValueError(
                "give the length of the run as steps=1000 or as minutes=60, one of the two and "
                f"above 0; got steps={self.steps} and minutes={self.minutes}"
            )
        if self.data.rendered is None and self.data.photos is None:
            raise ValueError("there is nothing to train on: give data.rendered or data.photos")
        if not 0 <= self.seed < 2**40:
            raise ValueError(f"seed must be at least 0 and below 2**40, got {self.seed}")
        _check_positive("accumulate", self.accumulate)
        _check_positive("validation.every_steps", self.validation.every_steps)
        _check_positive("log.every_steps", self.log.every_steps)


def _check_positive(name: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{name} must be above 0, got {value}")
