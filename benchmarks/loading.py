"""How fast photos are loaded: seconds for a folder of large JPEGs, made up for the purpose.

python -m benchmarks.loading --photos 100 --workers 2
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from fast3r.views.load import load_views

_HEIGHT, _WIDTH = 3024, 4032


def write_photos(folder: Path, count: int) -> None:
    """Write 12-megapixel JPEGs of about 4 MB: soft shapes under fine grain."""
    rng = np.random.default_rng(0)
    shapes = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8))
    soft = np.asarray(shapes.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC), np.float32)
    grain = rng.normal(0, 6, (_HEIGHT, _WIDTH, 1)).astype(np.float32)
    photo = Image.fromarray((soft + grain).clip(0, 255).astype(np.uint8))
    first = folder / "0.jpg"
    photo.save(first, quality=90)
    for number in range(1, count):
        (folder / f"{number}.jpg").write_bytes(first.read_bytes())


def seconds_to_load(folder: Path, workers: int, lazy_above: int) -> float:
    start = time.perf_counter()
    load_views(folder, workers=workers, lazy_above=lazy_above)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder, options.photos)
        megabytes = (folder / "0.jpg").stat().st_size / 1e6
        decoded = seconds_to_load(folder, options.workers, lazy_above=options.photos)
        checked = seconds_to_load(folder, options.workers, lazy_above=0)
    print(f"{options.photos} JPEGs of 12 MP, {megabytes:.1f} MB each, {options.workers} threads")
    print(f"decoded to 384x512:  {decoded:6.2f} s  ({1e3 * decoded / options.photos:.0f} ms each)")
    print(f"checked, for later:  {checked:6.2f} s  ({1e3 * checked / options.photos:.1f} ms each)")


if __name__ == "__main__":
    main()
