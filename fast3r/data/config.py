"""What streams of training samples are made of; plain types only, so that YAML can fill them."""

from dataclasses import dataclass, field
from pathlib import Path

from fast3r.data.procedural.config import ProceduralConfig


@dataclass(frozen=True)
class Shape:
    """Size of the photos of a sample, in pixels."""

    height: int
    """Rows."""

    width: int
    """Columns."""

    @property
    def turned(self) -> "Shape":
        """The shape with rows and columns swapped."""
        return Shape(self.width, self.height)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class ColourJitter:
    """How far the colours of each photo are changed at random; all 0 leaves them alone."""

    brightness: float = 0.5
    """Greatest change of the factor on all values."""

    contrast: float = 0.5
    """Greatest change of the factor on the distance from the photo's mean grey."""

    saturation: float = 0.5
    """Greatest change of the factor on the distance of each pixel from its own grey."""

    hue: float = 0.1
    """Greatest shift of hue, in turns of the colour circle."""


@dataclass(frozen=True)
class DatasetSource:
    """A dataset on disk and its part of the mixture."""

    layout: str
    """How it is laid out: a name in `fast3r.data.catalog.DATASETS`, such as co3d."""

    root: Path
    """Its folder."""

    weight: float = 1.0
    """How often scenes come from it, relative to the other sources."""

    extra_px: int = 16
    """Photos are scaled to cover shapes longer by up to so much, drawn for each, then cropped."""

    options: dict[str, bool | int | float | str] = field(default_factory=dict)
    """What else its loader can be told, such as `split`."""


@dataclass(frozen=True)
class PhotoConfig:
    """A stream of samples from datasets on disk."""

    sources: dict[str, DatasetSource] = field(default_factory=dict)
    """The datasets, by names of the user's choice."""

    shapes: tuple[Shape, ...] = (
        Shape(384, 512),
        Shape(336, 512),
        Shape(288, 512),
        Shape(256, 512),
        Shape(160, 512),
    )
    """One is drawn for each step; portrait photos get it turned. These are the paper's."""

    min_views: int = 20
    """Fewest views of a scene; their number is drawn for each step."""

    max_views: int = 20
    """Most views of a scene."""

    scenes_per_step: int | None = 1
    """Scenes of a step on each device; None: as many as `tokens_per_step` hold."""

    tokens_per_step: int | None = None
    """Patches of all views of all scenes of a step on each device; None: `scenes_per_step`."""

    jitter: ColourJitter = field(default_factory=ColourJitter)
    """Random change of colours."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_views <= self.max_views:
            raise ValueError(
                "min_views must be at least 1 and at most max_views; "
                f"got {self.min_views} and {self.max_views}"
            )
        if (self.scenes_per_step is None) == (self.tokens_per_step is None):
            raise ValueError(
                "give either scenes_per_step or tokens_per_step, and null for the other; "
                f"got {self.scenes_per_step} and {self.tokens_per_step}"
            )
        if self.scenes_per_step is not None and self.scenes_per_step < 1:
            raise ValueError(f"scenes_per_step must be at least 1, got {self.scenes_per_step}")


@dataclass(frozen=True)
class Stage:
    """What is rendered until a share of the training is done."""

    until: float
    """Share of the training at which this stage ends."""

    shapes: tuple[Shape, ...]
    """One is drawn for each step."""

    views: tuple[int, ...]
    """Numbers of views; one is drawn for each step."""

    difficulty: tuple[float, float]
    """Spread of the cameras, drawn evenly between these, each within [0, 1]."""

    def __post_init__(self) -> None:
        if not self.views or min(self.views) < 1:
            raise ValueError(f"views must be numbers above 0, got {self.views}")
        low, high = self.difficulty
        if not 0 <= low <= high <= 1:
            raise ValueError(f"difficulty must be a range within [0, 1], got {self.difficulty}")


STAGES = (
    Stage(0.10, (Shape(48, 64), Shape(64, 48), Shape(56, 56)), (2, 3), (0.0, 0.4)),
    Stage(
        0.60,
        (Shape(72, 96), Shape(96, 72), Shape(80, 80), Shape(64, 96)),
        (2, 4, 6, 8, 10),
        (0.0, 1.0),
    ),
    Stage(
        1.00,
        (Shape(96, 128), Shape(128, 96), Shape(112, 112), Shape(80, 128)),
        (2, 4, 6, 8, 10),
        (0.3, 1.0),
    ),
)
"""From few close views of small images to many distant views at the size of use."""


@dataclass(frozen=True)
class RenderedConfig:
    """A stream of samples of procedural scenes."""

    scenes: ProceduralConfig = field(default_factory=ProceduralConfig)
    """What the scenes are made of."""

    stages: tuple[Stage, ...] = STAGES
    """The curriculum, in order; the last one goes on for ever."""

    tokens_per_step: int = 98304
    """Patches of all views of all scenes of a step on each device: what memory allows."""

    def __post_init__(self) -> None:
        ends = [stage.until for stage in self.stages]
        if not ends or ends != sorted(set(ends)):
            raise ValueError(f"stages must end (`until`) one after the other, got {ends}")
