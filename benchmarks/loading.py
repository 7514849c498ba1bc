"""How fast photos are loaded: seconds for a folder of large JPEGs, made up for the purpose.

python -m benchmarks.loading --photos 100 --workers 2 --output benchmarks/results
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.report import label_of, parser_of, setting_of, table, write
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


@dataclass(frozen=True)
class Row:
    """One way to load the folder."""

    what: str
    photos: int
    megabytes_each: float
    seconds: float

    def told(self) -> list[dict[str, float | str]]:
        """Return the line of the table."""
        return [{**vars(self), "ms each": 1e3 * self.seconds / self.photos}]


def seconds_to_load(folder: Path, workers: int, lazy_above: int) -> float:
    start = time.perf_counter()
    load_views(folder, workers=workers, lazy_above=lazy_above)
    return time.perf_counter() - start


def main() -> None:
    """Measure and report."""
    parser = parser_of(__doc__)
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    device = torch.device("cpu")
    setting = {**setting_of(device), "workers": options.workers}
    ways = {"decoded to 384x512": options.photos, "checked, to be decoded later": 0}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_photos(folder, options.photos)
        megabytes = (folder / "0.jpg").stat().st_size / 1e6
        rows = [
            Row(what, options.photos, megabytes, seconds_to_load(folder, options.workers, above))
            for what, above in ways.items()
        ]
    print(table([line for row in rows for line in row.told()]))
    name = f"loading-{label_of(device)}"
    write(options.output, name, "Loading 12-megapixel JPEGs", setting, rows)


if __name__ == "__main__":
    main()
