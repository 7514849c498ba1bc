"""Less usual ways to take photos: before a plain backdrop, from the air, through long lenses.

They come from dice of their own, so that a config without them gives the scenes it always gave.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.dice import Dice
from fast3r.data.procedural.layout import OUTDOOR, TABLETOP
from fast3r.data.procedural.scene import NO_BACKDROP

_ALBUM_SPREAD = 0.45


@dataclass(frozen=True)
class Captures:
    """How the photos of a batch of scenes are taken, where that is not as usual."""

    backdrop: Float[Tensor, "batch 3"]
    """Linear colour of the studio; `NO_BACKDROP` where the surroundings are seen."""

    covers_table: Bool[Tensor, " batch"]
    """Whether the backdrop lies on the table, too."""

    brightening: Float[Tensor, " batch"]
    """Times the usual exposure: a bright backdrop would leave what stands before it dark."""

    from_air: Bool[Tensor, " batch"]
    """Whether a drone flies over the scene and looks down."""

    zoom: Float[Tensor, "batch views"]
    """Times the usual focal length."""

    retreat: Float[Tensor, "batch views"]
    """Times the usual distance from the target."""

    turn: Float[Tensor, " batch"]
    """Radians by which all photos are turned on their side."""


def draw_captures(
    dice: Dice,
    config: ProceduralConfig,
    kind: Tensor,
    has_room: Tensor,
    views: int,
) -> Captures:
    """Return how scenes of these kinds are photographed."""
    batch = len(kind)
    studio = dice.chance(config.studio_share, batch) & (kind == TABLETOP) & ~has_room
    bright = dice.chance(0.5, batch)
    grey = torch.where(bright, dice.uniform(0.6, 2.0, batch), dice.log_uniform(1e-3, 0.2, batch))
    colour = grey[:, None] * (1 + 0.15 * dice.normal(batch, 3)).clamp(0.5, 1.5)
    brightening = torch.where(bright, dice.uniform(1.5, 4.0, batch), dice.uniform(0.5, 1.0, batch))
    from_air = dice.chance(config.aerial_share, batch) & (kind == OUTDOOR)

    long = dice.chance(config.telephoto_share, batch) & ~has_room & ~from_air
    lens = torch.where(long, dice.log_uniform(1.2, 4.0, batch), 1.0)[:, None]
    album = dice.chance(config.album_share, batch, 1)
    own = torch.where(album, (_ALBUM_SPREAD * dice.normal(batch, views)).exp(), 1.0)
    follows = dice.uniform(0, 1, batch, 1)
    retreat = torch.where(has_room[:, None], 1.0, own**follows)
    sideways = dice.chance(config.sideways_share, batch)
    turn = torch.where(dice.chance(0.5, batch), torch.pi / 2, -torch.pi / 2)
    return Captures(
        backdrop=torch.where(studio[:, None], colour, NO_BACKDROP),
        covers_table=studio & dice.chance(0.5, batch),
        brightening=torch.where(studio, brightening, 1.0),
        from_air=from_air,
        zoom=lens * own,
        retreat=lens * retreat,
        turn=torch.where(sideways, turn, 0.0),
    )
