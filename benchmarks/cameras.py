"""Seconds from pointmaps to cameras and depth maps, as `fast3r.reconstruct` does it.

    python -m benchmarks.cameras --views 100 1000 --output benchmarks/results

Focal lengths, poses by PnP and by the similarity of the two pointmaps, and scaled depth maps, from
whole pointmaps: smooth depth, noise of 1 % of it, a fifth of the world points from elsewhere. There
are 16 different views, again and again. With one thread seconds are the processor's own.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.report import label_of, parser_of, setting_of, show, size_of, write
from benchmarks.stages import now
from fast3r.evaluation.methods.fast3r import view_of
from fast3r.geometry.cameras import pinhole, pixel_grid, rays_through
from fast3r.geometry.transforms import rotation_angle_deg, rotation_exp
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.cameras import recover_cameras

_CPU = torch.device("cpu")
_DIFFERENT = 16


@dataclass(frozen=True)
class Row:
    """One number of views."""

    views: int
    seconds: float
    rotation_deg: float
    """Median error."""

    unposed: int

    def told(self) -> list[dict[str, float]]:
        """Return the line of the table."""
        return [{**vars(self)}]


def make_prediction(size: tuple[int, int], seed: int) -> tuple[Prediction, Tensor]:
    """Return pointmaps, and the rotation of their camera in the world."""
    height, width = size
    generator = torch.Generator().manual_seed(seed)
    intrinsics = pinhole(torch.tensor([0.9 * width]), height, width)
    rays = rays_through(pixel_grid(height, width).flatten(0, 1)[None], intrinsics)
    coarse = 2 + 4 * torch.rand(1, 1, height // 8, width // 8, generator=generator)
    depth = F.interpolate(coarse, size=size, mode="bilinear").flatten()[None, :, None]
    noise = depth * torch.randn(2, *rays.shape, generator=generator)
    local, seen = rays * depth + 0.005 * noise[0], rays * depth + 0.01 * noise[1]
    elsewhere = seen[:, torch.randperm(seen.shape[1], generator=generator)]
    lost = torch.rand(1, seen.shape[1], 1, generator=generator) < 0.2
    rotation = rotation_exp(torch.randn(1, 3, generator=generator))[0]
    world = torch.where(lost, elsewhere, seen) @ rotation.T + torch.randn(3, generator=generator)
    confidence = 1 + torch.rand(1, height, width, generator=generator)
    maps = [Pointmap(points.view(1, height, width, 3), confidence) for points in (world, local)]
    return Prediction(maps[0], maps[1]), rotation


def measured(views: int, size: tuple[int, int]) -> Row:
    """Return the figures of so many views."""
    made = [make_prediction(size, seed) for seed in range(min(views, _DIFFERENT))]
    photo = torch.zeros(*size, 3, dtype=torch.uint8).numpy()
    photos = [view_of(photo, index) for index in range(views)]
    every = [made[index % len(made)] for index in range(views)]
    start = now(_CPU)
    found = recover_cameras([prediction for prediction, _ in every], photos)
    seconds = now(_CPU) - start
    errors = [
        rotation_angle_deg(camera.world_from_camera[:3, :3], rotation).item()
        for camera, (_, rotation) in zip(found.cameras, every, strict=True)
        if camera is not None
    ]
    return Row(views, seconds, torch.tensor(errors).median().item(), views - len(errors))


def main() -> None:
    """Measure and report."""
    parser = parser_of(__doc__)
    parser.add_argument("--views", type=int, nargs="+", default=[16, 100, 1000])
    parser.add_argument("--size", type=size_of, default=(384, 512), help="HEIGHTxWIDTH")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    setting = {**setting_of(_CPU), "size": "x".join(map(str, options.size))}
    measured(_DIFFERENT, options.size)  # warms up
    for views in options.views:
        rows.append(measured(views, options.size))
        show(rows[-1])
        name = f"cameras-{label_of(_CPU)}"
        write(options.output, name, "Cameras from pointmaps", setting, rows)


if __name__ == "__main__":
    main()
