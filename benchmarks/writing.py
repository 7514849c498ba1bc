"""Host memory of writing a scene whose depth maps lie in files, by format and number of views.

    python -m benchmarks.writing --output benchmarks/results

Each line is a process of its own, since the system counts the peak of a process only once. The
scene is made up: cameras in a row before a flat wall, so that each point is seen by 30 views and
more. Told is by how much the process grew while it wrote: `own` is memory that only it can give
back, `with files` has the pages of depth maps too, which the system drops when it needs the room.
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.report import label_of, parser_of, run_apart, setting_of, show, size_of, write
from fast3r.export.formats import FORMATS, save
from fast3r.geometry.cameras import Camera, pinhole
from fast3r.scene.mapped import in_file
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.view import View

TARGETS = {
    "ply": "scene.ply",
    "laz": "scene.laz",
    "glb": "scene.glb",
    "colmap": "colmap",
    "transforms": "transforms.json",
    "npz": "scene.npz",
    "html": "scene.html",
}
"""The format of each name tells `save` what to write."""


@dataclass(frozen=True)
class Row:
    """One format and number of views."""

    format: str
    views: int
    own_mib: float
    with_files_mib: float
    seconds: float

    def told(self) -> list[dict[str, float | str]]:
        """Return the line of the table."""
        return [
            {
                "format": self.format,
                "views": self.views,
                "own MiB": round(self.own_mib),
                "with files MiB": round(self.with_files_mib),
                "s": round(self.seconds, 1),
            }
        ]


def make_scene(views: int, size: tuple[int, int], folder: Path) -> Reconstruction:
    """Return cameras in a row before a flat wall, with depth maps and confidences in files."""
    height, width = size
    generator = torch.Generator().manual_seed(0)
    # One photo does for all: they are no part of what is measured.
    photo = torch.randint(256, (height, width, 3), generator=generator, dtype=torch.uint8)
    intrinsics = pinhole(torch.tensor(0.9 * width), height, width)
    poses = torch.eye(4).repeat(views, 1, 1)
    poses[:, 0, 3] = 0.1 * torch.arange(views)
    return Reconstruction(
        views=[View(photo, torch.eye(3), f"{i}.jpg", height, width) for i in range(views)],
        cameras=[Camera(intrinsics, pose, height, width) for pose in poses],
        depth=[in_file(folder / f"depth{i}", torch.full(size, 3.0)) for i in range(views)],
        confidence=[
            in_file(folder / f"sure{i}", 1 + torch.rand(size, generator=generator))
            for i in range(views)
        ],
        failures=[None] * views,
        skipped=[],
        scale=Scale(),
    )


def _status_mib(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:"))


@contextmanager
def peak_own_mib() -> Iterator[list[float]]:
    """Give a list whose only entry grows to the most anonymous memory that was ever seen."""
    peak, done = [_status_mib("RssAnon")], threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], _status_mib("RssAnon"))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def measure(name: str, views: int, size: tuple[int, int]) -> Row:
    """Return the figures of one format, measured in this process."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        warm = make_scene(2, (48, 64), Path(folder, "warm"))
        save(warm, Path(folder, "warm", TARGETS[name]))  # libraries make room on first use
        scene = make_scene(views, size, Path(folder, "maps"))
        Path("/proc/self/clear_refs").write_text("5")  # Linux counts the peak anew from here
        own, every, start = _status_mib("RssAnon"), _status_mib("VmRSS"), time.perf_counter()
        with peak_own_mib() as peak:
            save(scene, Path(folder, "out", TARGETS[name]))
        seconds = time.perf_counter() - start
        return Row(name, views, peak[0] - own, _status_mib("VmHWM") - every, seconds)


def main() -> None:
    """Measure and report."""
    parser = parser_of(__doc__)
    parser.add_argument("--views", type=int, nargs="+", default=[150, 600])
    parser.add_argument("--size", type=size_of, default=(192, 256), help="HEIGHTxWIDTH")
    parser.add_argument("--format", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--one", choices=TARGETS, help="measure one format here, print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(asdict(measure(options.one, options.views[0], options.size))))
        return
    device = torch.device("cpu")
    size = "x".join(map(str, options.size))
    setting = {**setting_of(device), "size": size}
    rows: list[Row] = []
    for name in options.format:
        if FORMATS[name].installed:
            for views in options.views:
                words = ("--one", name, "--views", views, "--size", size)
                rows.append(Row(**run_apart("writing", *words)))
                show(rows[-1])
    write(options.output, f"writing-{label_of(device)}", "Memory of writing", setting, rows)


if __name__ == "__main__":
    main()
