"""What a batch of procedural scenes is made of, as tensors of one fixed size.

World frame: metres, z up. Every object is a unit shape seen through an affine map: the box
[-1, 1]^3, the cylinder and the ball inside it, a polytope or a lumpy rock inside the ball.
Slots of the shapes follow each other in this order; then come the room and the ground.
"""

from dataclasses import dataclass
from typing import TypeVar

from jaxtyping import Bool, Float, Int
from torch import Tensor

NUM_BOXES = 24
NUM_CYLINDERS = 5
NUM_BALLS = 4
NUM_POLYTOPES = 4
NUM_ROCKS = 2

FIRST_CYLINDER = NUM_BOXES
FIRST_BALL = FIRST_CYLINDER + NUM_CYLINDERS
FIRST_POLYTOPE = FIRST_BALL + NUM_BALLS
FIRST_ROCK = FIRST_POLYTOPE + NUM_POLYTOPES
NUM_OBJECTS = FIRST_ROCK + NUM_ROCKS
ROOM = NUM_OBJECTS
GROUND = NUM_OBJECTS + 1
NUM_SLOTS = NUM_OBJECTS + 2

FACES = 6
"""Materials per slot; shapes with more faces use them in turn."""

MATERIAL_SIZE = 18
"""Numbers per material, see `materials.py`."""

NO_BACKDROP = -1.0
"""In place of a colour, where the surroundings are seen."""

AnyTensors = TypeVar("AnyTensors")


@dataclass(frozen=True)
class Scene:
    """A batch of scenes."""

    local_from_world: Float[Tensor, "batch slots 3 4"]
    """Affine map into the frame where the shape has unit size."""

    centre: Float[Tensor, "batch slots 3"]
    """World position of the middle of each shape, in metres."""

    half_size: Float[Tensor, "batch slots 3"]
    """Half the extent of each shape along its own axes, in metres."""

    planes: Float[Tensor, "batch polytopes faces 3"]
    """A point x of a polytope has plane . x <= 1 for each plane."""

    lumps: Float[Tensor, "batch rocks lumps 4"]
    """Wave vector and phase of each lump of a rock, on the unit sphere."""

    lump_depth: Float[Tensor, "batch rocks"]
    """How far a rock recedes from the unit sphere at most."""

    ground_waves: Float[Tensor, "batch waves 4"]
    """Ground height = sum over waves of amplitude * sin(kx x + ky y + phase): kx, ky, phase,
    amplitude."""

    has_room: Bool[Tensor, " batch"]
    """Whether walls, floor and ceiling enclose the scene."""

    materials: Float[Tensor, "batch materials material_size"]
    """Material of face f of slot s at row 6 s + f."""

    panorama: Int[Tensor, " batch"]
    """Which surroundings are seen where there is no surface."""

    panorama_turn: Float[Tensor, " batch"]
    """Rotation of the surroundings about the vertical, in radians."""

    backdrop: Float[Tensor, "batch 3"]
    """Linear colour of a plain backdrop that hides ground and surroundings, or `NO_BACKDROP`."""

    covers_table: Bool[Tensor, " batch"]
    """Whether it lies on the table, too."""

    light_position: Float[Tensor, "batch lights 3"]
    """Lamps, or suns a kilometre away. The first casts shadows."""

    light_colour: Float[Tensor, "batch lights 3"]
    """Linear colour of the light that falls on the middle of the scene."""

    ambient: Float[Tensor, "batch 2 3"]
    """Linear colour of the light from above and from below."""

    target: Float[Tensor, "batch 3"]
    """The middle of what there is to see, in metres."""

    exposure: Float[Tensor, " batch"]
    """Linear brightness that the mean of all pixels is brought to."""


def move(tensors: AnyTensors, device: str) -> AnyTensors:
    """Return a dataclass of tensors on another device."""
    return type(tensors)(**{name: value.to(device) for name, value in vars(tensors).items()})


def select(tensors: AnyTensors, scenes: slice) -> AnyTensors:
    """Return some of the batch of a dataclass of tensors."""
    return type(tensors)(**{name: value[scenes] for name, value in vars(tensors).items()})
