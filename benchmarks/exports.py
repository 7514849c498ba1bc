"""Seconds and megabytes of every format that a scene can be written in.

    python -m benchmarks.exports --views 20 --output benchmarks/results

The scene is made up: smooth depth and noise for colours, which compress worse than photos.
Formats whose extra is not installed are left out.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.report import label_of, parser_of, setting_of, show, size_of, write
from fast3r.evaluation.methods.fast3r import view_of
from fast3r.export.formats import FORMATS, write_formats
from fast3r.geometry.cameras import Camera, pinhole
from fast3r.scene.reconstruction import Reconstruction, Scale


@dataclass(frozen=True)
class Row:
    """One format."""

    format: str
    seconds: float
    megabytes: float
    points: int
    """Of the cloud that formats with points draw."""

    def told(self) -> list[dict[str, float | str]]:
        """Return the line of the table."""
        return [{**vars(self)}]


def make_scene(views: int, size: tuple[int, int]) -> Reconstruction:
    """Return cameras in a row that look at a wavy wall."""
    height, width = size
    generator = torch.Generator().manual_seed(0)
    x, y = torch.linspace(0, 9, width), torch.linspace(0, 6, height)
    depth = 3 + torch.sin(x)[None] * torch.cos(y)[:, None]
    photos = torch.randint(256, (views, height, width, 3), generator=generator, dtype=torch.uint8)
    poses = torch.eye(4).repeat(views, 1, 1)
    poses[:, 0, 3] = 0.1 * torch.arange(views)
    intrinsics = pinhole(torch.tensor(0.9 * width), height, width)
    return Reconstruction(
        views=[view_of(photo.numpy(), index) for index, photo in enumerate(photos)],
        cameras=[Camera(intrinsics, pose, height, width) for pose in poses],
        depth=[depth.clone() for _ in range(views)],
        confidence=[1 + depth for _ in range(views)],
        failures=[None] * views,
        skipped=[],
        scale=Scale(),
    )


def measured(scene: Reconstruction, name: str) -> Row:
    """Return the figures of one format; its point cloud is made before."""
    cloud = scene.point_cloud()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_formats(scene, folder, [name], cloud=cloud)
        seconds = time.perf_counter() - start
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        megabytes = sum(path.stat().st_size for path in files) / 1e6
    return Row(name, seconds, megabytes, len(cloud.points))


def main() -> None:
    """Measure and report."""
    parser = parser_of(__doc__)
    parser.add_argument("--views", type=int, default=20)
    parser.add_argument("--size", type=size_of, default=(384, 512), help="HEIGHTxWIDTH")
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=list(FORMATS))
    options = parser.parse_args()
    device = torch.device("cpu")
    size = "x".join(map(str, options.size))
    setting = {**setting_of(device), "views": options.views, "size": size}
    scene, rows = make_scene(options.views, options.size), []
    for name in options.format:
        if not FORMATS[name].installed:
            print(f"{name} needs an extra that is not installed, left out")
            continue
        rows.append(measured(scene, name))
        show(rows[-1])
        write(options.output, f"exports-{label_of(device)}", "Exports", setting, rows)


if __name__ == "__main__":
    main()
