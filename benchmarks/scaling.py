"""Number of photos against seconds and GiB, from photos in memory to cameras and depth.

    python -m benchmarks.scaling --views 2 4 8 16 32 64 128 --output benchmarks/results

Every number runs in a process of its own, so that its peak is its own. The photos are of one
procedural scene, 20 different ones again and again. With one thread seconds are the processor's
own, so that other work on the machine counts little.
"""

import json
import resource
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import label_of, parser_of, run_apart, setting_of, show, write
from benchmarks.stages import now
from fast3r.evaluation.benchmarks.procedural import Procedural
from fast3r.evaluation.methods.fast3r import view_of
from fast3r.models.checkpoints import load_model
from fast3r.models.thinning import Thinning
from fast3r.scene.run import reconstruct

_DIFFERENT = 20
"""Photos that are rendered."""


@dataclass(frozen=True)
class Row:
    """One number of photos."""

    views: int
    share: float
    """Of each view's tokens that the others look at; 1 is exact."""

    seconds: float
    process_gib: float
    """Peak of the process, with Python and torch in it."""

    run_gib: float
    """By how much the run raised it."""

    posed: int
    """Views that found a pose."""

    def told(self) -> list[dict[str, float]]:
        """Return the line of the table."""
        return [{**vars(self), "seconds a view": self.seconds / self.views}]


def render(file: Path) -> None:
    """Write photos, outside of the processes that are measured."""
    scene = Procedural(views=_DIFFERENT, height=96, width=128, cases=1)
    np.save(file, np.stack([frame.image for frame in scene.frames(scene.cases[0])]))


def reconstructed(model_name: str, photos: np.ndarray, views: int, share: float) -> Row:
    """Return the figures of a run in this process."""
    model = load_model(model_name, device="cpu")
    model.thinning = None if share == 1 else Thinning(share)
    before = _peak_gib()
    start = now(model.device)
    repeated = [view_of(photos[i % len(photos)], i) for i in range(views)]
    found = reconstruct(repeated, model, precision="float32", chunk_views=None)
    seconds = now(model.device) - start
    posed = sum(camera is not None for camera in found.cameras)
    return Row(views, share, seconds, _peak_gib(), _peak_gib() - before, posed)


def _peak_gib() -> float:
    # Linux hands the peak of the parent down to children in rusage, but not in this file.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30  # bytes on macOS


def main() -> None:
    """Measure and report."""
    parser = parser_of(__doc__)
    parser.add_argument("--model", default="small", help="as for fast3r reconstruct")
    parser.add_argument("--views", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64, 128])
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0], help="see docs/speed.md")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--single", type=Path, help="file of photos: one number, as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.single:
        photos = np.load(options.single)
        row = reconstructed(options.model, photos, options.views[0], options.shares[0])
        print(json.dumps(vars(row)))
        return
    device, rows = torch.device("cpu"), []
    setting = {**setting_of(device), "model": options.model, "size": "96x128"}
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos.npy"
        render(photos)
        for views, share in product(options.views, options.shares):
            words = ("--views", views, "--shares", share, "--threads", options.threads)
            found = run_apart("scaling", "--model", options.model, "--single", photos, *words)
            rows.append(Row(**found))
            show(rows[-1])
            name = f"scaling-{label_of(device)}"
            write(options.output, name, "Photos against seconds and GiB", setting, rows)


if __name__ == "__main__":
    main()
