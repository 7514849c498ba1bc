"""Drawn tiles: cloudy noise, stripes, checkers, posters and pages of writing.

They stand for what photographs of materials lack: print, paint and large plain shapes.
"""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

_PER_KIND = 48


def draw_patterns(size_px: int, *, seed: int = 0) -> UInt8[Tensor, "tiles size size 3"]:
    """Return 240 tiles, 48 of each of five kinds."""
    generator = np.random.default_rng(seed)
    kinds = (_clouds, _stripes, _checkers, _poster, _writing)
    tiles = [draw(generator, size_px) for draw in kinds for _ in range(_PER_KIND)]
    return torch.from_numpy((255 * np.stack(tiles).clip(0, 1)).astype(np.uint8))


def _noise(generator: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Return smooth noise in [0, 1]: random values on a coarse grid, interpolated."""
    grid = torch.from_numpy(generator.random((1, 1, cells, cells), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(grid, (size, size), mode="bicubic")
    return smooth[0, 0].numpy()


def _colours(generator: np.random.Generator, count: int) -> np.ndarray:
    grey = generator.uniform(0.1, 0.9, (count, 1))
    return (grey + generator.normal(0, 0.12, (count, 3))).clip(0.03, 0.97)


def _clouds(generator: np.random.Generator, size: int) -> np.ndarray:
    octaves = [(4, 0.5), (8, 0.3), (16, 0.25), (32, 0.2), (64, 0.15)]
    height = np.sum(
        [weight * (_noise(generator, size, cells) - 0.5) for cells, weight in octaves], 0
    )
    mix = (0.5 + 1.4 * height).clip(0, 1)[..., None]
    first, second = _colours(generator, 2)
    return first + mix * (second - first)


def _stripes(generator: np.random.Generator, size: int) -> np.ndarray:
    widths = generator.integers(3, 24, 60)
    lines = np.repeat(np.arange(60) % 3, widths)[:size]
    tile = np.broadcast_to(_colours(generator, 3)[lines], (size, size, 3))
    return _wear(generator, tile)


def _checkers(generator: np.random.Generator, size: int) -> np.ndarray:
    cell = int(generator.integers(8, 33))
    cells = np.arange(size) // cell
    palette = _colours(generator, 4)
    names = generator.integers(0, 4, (size // cell + 1, size // cell + 1))
    return _wear(generator, palette[names[cells][:, cells]])


def _poster(generator: np.random.Generator, size: int) -> np.ndarray:
    tile = np.tile(_colours(generator, 1)[0], (size, size, 1))
    rows, columns = np.mgrid[:size, :size]
    for colour in _colours(generator, 14):
        x, y = generator.uniform(0, size, 2)
        width, height = generator.uniform(0.05, 0.3, 2) * size
        across, down = (columns - x) / width, (rows - y) / height
        if generator.random() < 0.5:
            inside = np.maximum(abs(across), abs(down)) < 1
        else:
            inside = across**2 + down**2 < 1
        tile[inside] = colour
    return _wear(generator, tile)


def _writing(generator: np.random.Generator, size: int) -> np.ndarray:
    paper, ink = _colours(generator, 2)
    tile = np.tile(paper, (size, size, 1))
    row = 4
    while row < size - 8:
        letter = int(generator.integers(3, 12))
        column = int(generator.integers(2, 20))
        while column < size - letter - int(generator.integers(0, 30)):
            glyph = generator.random((letter, max(2, letter * 2 // 3))) < 0.55
            height, width = (tile[row : row + letter, column : column + glyph.shape[1]]).shape[:2]
            tile[row : row + height, column : column + width][glyph[:height, :width]] = ink
            column += glyph.shape[1] + (letter if generator.random() < 0.2 else 1)
        row += letter + 3
    return _wear(generator, tile)


def _wear(generator: np.random.Generator, tile: np.ndarray) -> np.ndarray:
    """Return the tile with uneven brightness, since real print and paint are never flat."""
    stain = _noise(generator, size=len(tile), cells=6) + 0.5 * _noise(generator, len(tile), 40)
    return tile * (0.75 + 0.35 * stain[..., None])
