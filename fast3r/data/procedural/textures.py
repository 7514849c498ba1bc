"""The texture bank: photographs of materials and surroundings, sampled at any point and sharpness.

Tiles are square and repeat as mirror images, so that no seam shows. Colours are in the display
(sRGB-like) scale; `lighting` squares them to get linear albedo.
"""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from fast3r.data.procedural.patterns import draw_patterns

TILE_PX = 128
NUM_LEVELS = 8
PANORAMA_HEIGHT = 256
PANORAMA_WIDTH = 512
_TILES_PER_ROW = 40
_PICTURES_PER_PANORAMA = 4


@dataclass(frozen=True)
class TextureBank:
    """All tiles and panoramas on one device, colours packed as red + 256 green + 65536 blue."""

    texels: Int[Tensor, " texels"]
    """The mip pyramid: all tiles at 128 px, then all at 64 px, and so on to 1 px."""

    panorama_texels: Int[Tensor, " panorama_texels"]
    """Panoramas one after the other, rows from the zenith down."""

    means: Float[Tensor, "tiles 3"]
    """Mean colour of each tile."""

    stds: Float[Tensor, " tiles"]
    """Standard deviation of each tile's brightness."""

    num_materials: int
    """Tiles before this index are photographs of materials."""

    first_picture: int
    """Tiles from this index on are details of the panoramas; drawn patterns lie between."""

    panorama_tones: Float[Tensor, "panoramas 2 3"]
    """Linear mean colour of the upper and of the lower half of each panorama."""

    open_air: Int[Tensor, " open_air"]
    """Indices of the panoramas that show a sky."""

    @property
    def num_tiles(self) -> int:
        """Number of tiles of all sorts."""
        return len(self.means)


@lru_cache(maxsize=4)
def load_bank(device: str) -> TextureBank:
    """Return the texture bank on a device; about 130 MB, kept for the life of the process."""
    if device != "cpu":
        return _to_device(load_bank("cpu"), device)
    assets = resources.files("fast3r.data.procedural") / "assets"
    contents = json.loads((assets / "contents.json").read_text())
    panoramas = _read_sheet("panoramas.webp").reshape(-1, PANORAMA_HEIGHT, PANORAMA_WIDTH, 3)
    materials = _cut_tiles(_read_sheet("tiles.webp"), len(contents["tiles"]))
    patterns = draw_patterns(TILE_PX)
    tiles = torch.cat([materials, patterns, _cut_pictures(panoramas)])
    return TextureBank(
        texels=_pack_pyramid(tiles),
        panorama_texels=_pack(panoramas).flatten(),
        means=tiles.float().mean((1, 2)) / 255,
        stds=tiles.float().mean(-1).flatten(1).std(1) / 255,
        num_materials=len(materials),
        first_picture=len(materials) + len(patterns),
        panorama_tones=_halves(panoramas),
        open_air=torch.tensor([contents["panoramas"].index(name) for name in contents["open_air"]]),
    )


def sample_tiles(
    bank: TextureBank,
    tile: Int[Tensor, " points"],
    uv: Float[Tensor, "points 2"],
    level: Float[Tensor, " points"],
) -> tuple[Float[Tensor, "points 3"], Float[Tensor, "points 2"]]:
    """Return the colours in [0, 1] at positions in units of tiles, and brightness change per tile.

    `level` 0 is full sharpness; each further level halves it (Williams, 1983).
    """
    sharp = level.clamp(0, NUM_LEVELS - 1.001)
    fine = sharp.floor()
    blend = (sharp - fine)[:, None]
    fine_colour, slope = _sample_level(bank, tile, uv, fine.long())
    coarse_colour, _ = _sample_level(bank, tile, uv, fine.long() + 1)
    return fine_colour + blend * (coarse_colour - fine_colour), slope


def sample_panoramas(
    bank: TextureBank,
    panorama: Int[Tensor, " points"],
    azimuth: Float[Tensor, " points"],
    elevation: Float[Tensor, " points"],
) -> Float[Tensor, "points 3"]:
    """Return display colours of the surroundings in directions given in radians."""
    x = azimuth / (2 * torch.pi) * PANORAMA_WIDTH - 0.5
    y = ((0.5 - elevation / torch.pi) * PANORAMA_HEIGHT - 0.5).clamp(0, PANORAMA_HEIGHT - 1.001)
    left, top = x.floor(), y.floor()
    across, down = (x - left)[:, None], (y - top)[:, None]
    column = left.long() % PANORAMA_WIDTH
    next_column = (column + 1) % PANORAMA_WIDTH
    row = (panorama * PANORAMA_HEIGHT + top.long()) * PANORAMA_WIDTH
    texels = bank.panorama_texels
    upper = torch.lerp(_unpack(texels[row + column]), _unpack(texels[row + next_column]), across)
    row = row + PANORAMA_WIDTH
    lower = torch.lerp(_unpack(texels[row + column]), _unpack(texels[row + next_column]), across)
    return torch.lerp(upper, lower, down)


def _sample_level(
    bank: TextureBank, tile: Tensor, uv: Tensor, level: Tensor
) -> tuple[Tensor, Tensor]:
    size = TILE_PX >> level
    # All levels before this one hold 1 + 1/4 + ... of the texels of the first.
    start = bank.num_tiles * (4 * TILE_PX**2 - 4 * size**2) // 3 + tile * size**2
    position = uv * size[:, None] - 0.5
    corner = position.floor()
    across, down = (position - corner).unbind(-1)
    column, row = corner.long().unbind(-1)
    left, right = _mirror(column, size), _mirror(column + 1, size)
    top, bottom = start + _mirror(row, size) * size, start + _mirror(row + 1, size) * size
    corners = [bank.texels[y + x] for y in (top, bottom) for x in (left, right)]
    top_left, top_right, bottom_left, bottom_right = (_unpack(corner) for corner in corners)
    across, down = across[:, None], down[:, None]
    right_change = torch.lerp(top_right - top_left, bottom_right - bottom_left, down).mean(-1)
    down_change = torch.lerp(bottom_left - top_left, bottom_right - top_right, across).mean(-1)
    upper = torch.lerp(top_left, top_right, across)
    colour = torch.lerp(upper, torch.lerp(bottom_left, bottom_right, across), down)
    return colour, torch.stack([right_change, down_change], -1) * size[:, None]


def _mirror(index: Tensor, size: Tensor) -> Tensor:
    folded = index & (2 * size - 1)
    return torch.minimum(folded, 2 * size - 1 - folded)


def _unpack(packed: Tensor) -> Tensor:
    channels = torch.stack([packed & 255, (packed >> 8) & 255, packed >> 16], -1)
    return channels.to(torch.float32) / 255


def _pack(colours: Tensor) -> Tensor:
    red, green, blue = colours.to(torch.int32).unbind(-1)
    return red + 256 * green + 65536 * blue


def _pack_pyramid(tiles: Tensor) -> Tensor:
    level, packed = tiles.permute(0, 3, 1, 2).float(), []
    for _ in range(NUM_LEVELS):
        packed.append(_pack(level.round().permute(0, 2, 3, 1)).flatten())
        if level.shape[-1] > 1:
            level = torch.nn.functional.avg_pool2d(level, 2)
    return torch.cat(packed)


def _read_sheet(name: str) -> Tensor:
    path = resources.files("fast3r.data.procedural") / "assets" / name
    with path.open("rb") as file, Image.open(file) as image:
        return torch.from_numpy(np.array(image.convert("RGB")))


def _cut_tiles(sheet: Tensor, count: int) -> Tensor:
    rows = len(sheet) // TILE_PX
    grid = sheet.reshape(rows, TILE_PX, _TILES_PER_ROW, TILE_PX, 3).transpose(1, 2)
    return grid.reshape(-1, TILE_PX, TILE_PX, 3)[:count]


def _cut_pictures(panoramas: Tensor) -> Tensor:
    top = (PANORAMA_HEIGHT - TILE_PX) // 2
    band = panoramas[:, top : top + TILE_PX]
    return torch.cat(band.chunk(_PICTURES_PER_PANORAMA, dim=2))


def _halves(panoramas: Tensor) -> Tensor:
    linear = (panoramas.float() / 255) ** 2
    upper, lower = linear.chunk(2, dim=1)
    return torch.stack([upper.mean((1, 2)), lower.mean((1, 2))], 1)


def _to_device(bank: TextureBank, device: str) -> TextureBank:
    return replace(
        bank,
        **{
            name: value.to(device)
            for name, value in vars(bank).items()
            if isinstance(value, Tensor)
        },
    )
