"""Pack CC0 photographs into the small texture bank that procedural scenes are painted with.

Run once, by hand, when the bank changes:

    python scripts/pack_textures.py SOURCE_DIR

SOURCE_DIR holds `ambientcg128/` (JPEG tiles with index.json) and `hdri_512/` (Radiance panoramas).
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

ASSETS = Path(__file__).parent.parent / "fast3r" / "data" / "procedural" / "assets"
TILE_PX = 128
TILES_PER_ROW = 40
PANORAMA_SIZE = (512, 256)
# Below this the tile is a plain colour to a small network; the bank adds plain noise itself.
MIN_STD = 6.0
# Panoramas with a sky, fit to stand behind outdoor scenes.
OPEN_AIR = [
    "aristea_wreck_puresky",
    "chinese_garden",
    "hilly_terrain_01",
    "kloppenheim_05",
    "leadenhall_market",
    "modern_buildings_2",
    "narrow_moonlit_road",
    "noon_grass",
    "phalzer_forest_01",
    "rainforest_trail",
    "st_peters_square_night",
]


def read_radiance(path: Path) -> np.ndarray:
    """Return linear RGB (height, width, 3) of a Radiance file with run-length encoded rows."""
    content = path.read_bytes()
    header_end = content.index(b"\n\n") + 2
    size_end = content.index(b"\n", header_end)
    _, height, _, width = content[header_end:size_end].split()
    rows, columns = int(height), int(width)
    pixels = np.empty((rows, 4, columns), np.uint8)
    cursor = size_end + 1
    for row in range(rows):
        cursor = read_row(content, cursor + 4, pixels[row])
    mantissa = pixels[:, :3].transpose(0, 2, 1).astype(np.float32)
    exponent = pixels[:, 3].astype(np.float32)[..., None]
    return mantissa * np.exp2(exponent - 136.0)


def read_row(content: bytes, cursor: int, row: np.ndarray) -> int:
    """Fill the four channels of one row and return where the next one starts."""
    for channel in row:
        column = 0
        while column < channel.size:
            count = content[cursor]
            is_run = count > 128
            count = count - 128 if is_run else count
            length = 1 if is_run else count
            found = np.frombuffer(content, np.uint8, length, cursor + 1)
            channel[column : column + count] = found
            cursor += 1 + length
            column += count
    return cursor


def tone_map(radiance: np.ndarray) -> Image.Image:
    """Return a display image whose middle brightness is the same for day, night and studio."""
    luminance = radiance.mean(-1)
    exposed = radiance * (0.22 / np.median(luminance).clip(1e-4))
    display = (1 - np.exp(-1.2 * exposed)) ** (1 / 2.2)
    return Image.fromarray((255 * display).round().astype(np.uint8))


def paste_grid(images: list[Image.Image], columns: int) -> Image.Image:
    """Return all images, of one size, side by side in rows."""
    width, height = images[0].size
    sheet = Image.new("RGB", (columns * width, -(-len(images) // columns) * height))
    for index, image in enumerate(images):
        sheet.paste(image, (index % columns * width, index // columns * height))
    return sheet


def main() -> None:
    """Write tiles.webp and panoramas.webp, and the list of what is in them."""
    parser = argparse.ArgumentParser(description="Pack textures for procedural scenes.")
    parser.add_argument("source", type=Path)
    source = parser.parse_args().source

    tiles = json.loads((source / "ambientcg128" / "index.json").read_text())["tiles"]
    kept = sorted(name for name, facts in tiles.items() if facts["std"] >= MIN_STD)
    images = [Image.open(source / "ambientcg128" / name).convert("RGB") for name in kept]
    squares = [image.resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC) for image in images]
    paste_grid(squares, TILES_PER_ROW).save(ASSETS / "tiles.webp", quality=80, method=6)

    skies = sorted((source / "hdri_512").glob("*.hdr"))
    panoramas = [tone_map(read_radiance(path)).resize(PANORAMA_SIZE) for path in skies]
    paste_grid(panoramas, 1).save(ASSETS / "panoramas.webp", quality=70, method=6)

    contents = {
        "tiles": [Path(name).stem for name in kept],
        "panoramas": [path.stem.removesuffix("_512") for path in skies],
        "open_air": OPEN_AIR,
    }
    (ASSETS / "contents.json").write_text(json.dumps(contents, indent=0) + "\n")


if __name__ == "__main__":
    main()
