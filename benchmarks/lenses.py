"""What a known lens is worth, and whether panoramas work: procedural scenes through bent cameras.

    python -m benchmarks.lenses                 # writes benchmarks/results/lenses.{json,md}

Each scene is photographed by a pinhole camera and, from the same places, through lenses that bend
straight lines. Points are compared with the true ones of the same pixels, after the similarity that
fits best; their errors are relative to their distance from the camera.
"""

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fast3r.data.procedural.captures import draw_captures
from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.dice import Dice
from fast3r.data.procedural.generate import choose_cameras
from fast3r.data.procedural.photography import develop
from fast3r.data.procedural.primitives import FAR, trace
from fast3r.data.procedural.random_scene import random_scene
from fast3r.data.procedural.render import render_rays
from fast3r.data.procedural.scene import Scene
from fast3r.data.procedural.textures import load_bank
from fast3r.data.procedural.trajectories import draw_candidates
from fast3r.evaluation.metrics.poses import area_under_curve, relative_pose_errors
from fast3r.geometry.lenses import Lens
from fast3r.geometry.transforms import fit_similarity
from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.scene.panoramas import panoramas
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.refine import refine
from fast3r.scene.run import reconstruct
from fast3r.views.load import load_views

RESULTS = Path(__file__).parent / "results"
WIDTH, HEIGHT, VIEWS = 320, 240, 5
PANORAMA_HEIGHT = 320
_RAYS = 12288

LENSES = {
    "pinhole": Lens("PINHOLE", (215.0, 215.0, 160.0, 120.0), WIDTH, HEIGHT),
    "OPENCV": Lens("OPENCV", (215.0, 215.0, 160.0, 120.0, -0.28, 0.08, 1e-3, -1e-3), WIDTH, HEIGHT),
    "OPENCV_FISHEYE": Lens(
        "OPENCV_FISHEYE", (165.0, 165.0, 160.0, 120.0, 0.03, -0.01, 0.0, 0.0), WIDTH, HEIGHT
    ),
}
"""73 degrees wide as a pinhole; action cameras are like the others."""


@dataclass(frozen=True)
class Row:
    """One scene, reconstructed in one way."""

    scene: int
    lens: str
    given: bool
    """Whether the calibration was told."""
    refined: bool
    registered: int
    auc30: float
    """Of all pairs of cameras, in percent; a camera that was not found counts as wrong."""
    auc5: float
    """The same up to 5 degrees."""
    point_error: float | None
    """Median, in percent of the distance; None where nothing could be compared."""


class Place:
    """A procedural scene, and cameras in it."""

    def __init__(self, seed: int, *, indoor: bool = False) -> None:
        config = ProceduralConfig(indoor_share=1.0, outdoor_share=0.0) if indoor else None
        self.config = config or ProceduralConfig()
        dice, self.bank = Dice(seed), load_bank("cpu")
        self.scene, layout = random_scene(dice, self.config, self.bank, 1)
        candidates = draw_candidates(
            dice,
            self.config,
            self.scene,
            layout,
            draw_captures(Dice(seed), self.config, layout.kind, self.scene.has_room, VIEWS),
            views=VIEWS,
            height=HEIGHT,
            width=WIDTH,
            difficulty=0.5,
        )
        self.poses = choose_cameras(
            self.config, self.scene, candidates, height=HEIGHT, width=WIDTH
        )[0]

    def photograph(self, rays: Tensor, folder: Path) -> None:
        """Write a photo for each pose, given camera rays (rows, columns, 3) at twice its size."""
        folder.mkdir(parents=True)
        linear = [_seen(self.scene, self.bank, rays, pose) for pose in self.poses]
        images = develop(torch.stack(linear).permute(0, 3, 1, 2)[None], self.scene.exposure)[0]
        for index, image in enumerate(images):
            pixels = (image.permute(1, 2, 0) * 255).round().byte().numpy()
            Image.fromarray(np.ascontiguousarray(pixels)).reduce(2).save(folder / f"{index}.png")

    def points(self, rays: Tensor, pose: Tensor) -> Tensor:
        """Return the surface that camera rays (pixels, 3) hit; nan where they hit nothing."""
        direction = (rays @ pose[:3, :3].mT)[None]
        origin = pose[:3, 3].expand_as(direction)
        depth, _ = trace(self.scene, origin, direction)
        seen = (depth < FAR) & (depth > self.config.near_m) & (depth < self.config.far_m)
        points = origin + depth[..., None] * direction
        return points.where(seen[..., None], torch.nan)[0]


def _seen(scene: Scene, bank: object, rays: Tensor, pose: Tensor) -> Tensor:
    direction = (rays.flatten(0, 1) @ pose[:3, :3].mT)[None]
    angle = (rays[0, 1] - rays[0, 0]).norm().expand(direction.shape[:2])
    parts = []
    for place in range(0, direction.shape[1], _RAYS):
        chunk = direction[:, place : place + _RAYS]
        origin = pose[:3, 3].expand_as(chunk)
        angles = angle[:, place : place + _RAYS]
        parts.append(render_rays(scene, bank, origin, chunk, angles, shadows=True)[0][0])  # pyright: ignore
    return torch.cat(parts).view(*rays.shape)


def lens_rays(lens: Lens, pixels: Tensor) -> Tensor:
    """Return unit rays in float32; those of pixels that show none look ahead."""
    rays = lens.undistort(pixels.double()).float()
    return rays.where(rays.isfinite(), rays.new_tensor([0.0, 0.0, 1.0]))


def grid(height: int, width: int) -> Tensor:
    """Return pixel centres of an image at twice its size, in its own pixels."""
    y, x = (torch.arange(2 * n) / 2 + 0.25 for n in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def point_error(scene: Reconstruction, place: Place, lens: Lens) -> float | None:
    """Return the median error of points in percent of their distance."""
    found, true, distance = [], [], []
    for index in scene.registered:
        pixels = scene.valid(index).flatten().nonzero()[:, 0]
        rays = lens_rays(lens, scene.original_pixels(index, pixels))
        pose = place.poses[index]
        points = place.points(rays, pose)
        known = points.isfinite().all(dim=-1)
        found.append(scene.points_at(index, pixels)[known])
        true.append(points[known])
        distance.append((points[known] - pose[:3, 3]).norm(dim=-1))
    if not found or sum(map(len, found)) < 100:
        return None
    a, b, far = torch.cat(found).double(), torch.cat(true).double(), torch.cat(distance).double()
    error = torch.ones(len(a), dtype=torch.float64)
    for _ in range(5):
        keep = error <= error.median()
        fit = fit_similarity(a[keep], b[keep], 1 / far[keep].square())
        error = (fit(a) - b).norm(dim=-1) / far
    return 100 * error.median().item()


def areas(found: Sequence[Tensor | None], truth: Tensor) -> tuple[float, float]:
    """Return AUC@30 and AUC@5 of all pairs in percent; pairs without a camera are wrong."""
    errors = relative_pose_errors(found, truth)
    return 100 * area_under_curve(*errors, 30), 100 * area_under_curve(*errors, 5)


def run_lenses(model: Fast3R, seeds: Sequence[int]) -> Iterator[list[Row]]:
    """Yield the rows of each scene: for each lens and way."""
    for seed in seeds:
        rows = []
        place = Place(seed)
        for name, lens in LENSES.items():
            with TemporaryDirectory() as folder:
                photos = Path(folder) / "photos"
                place.photograph(lens_rays(lens, grid(HEIGHT, WIDTH)), photos)
                rows += _ways(model, place, seed, name, photos)
        yield rows


def _ways(model: Fast3R, place: Place, seed: int, name: str, photos: Path) -> list[Row]:
    rows, lens = [], LENSES[name]
    for given in (True, False):
        size = model.config.image_size
        known = Priors(intrinsics={"*": lens}) if given else None
        lenses = known.lenses if known is not None else None
        views = load_views(photos, size=size, patch=model.patch, lenses=lenses or None)
        scene = reconstruct(views, model, priors=known)
        for refined in (False, True):
            if refined:
                scene = refine(scene)
            poses = [c and c.world_from_camera.double() for c in scene.cameras]
            score = areas(poses, place.poses.double())
            error = point_error(scene, place, lens)
            rows.append(Row(seed, name, given, refined, len(scene.registered), *score, error))
    return rows


def run_panoramas(model: Fast3R, seeds: Sequence[int]) -> Iterator[list[Row]]:
    """Yield the rows of each room, from panoramas at the places of the cameras."""
    for seed in seeds:
        rows = []
        place = Place(seed, indoor=True)
        across = grid(PANORAMA_HEIGHT, 2 * PANORAMA_HEIGHT) / PANORAMA_HEIGHT
        longitude, latitude = (across[..., 0] - 1) * torch.pi, (across[..., 1] - 0.5) * torch.pi
        level = latitude.cos()
        rays = torch.stack(
            (level * longitude.sin(), latitude.sin(), level * longitude.cos()), dim=-1
        )
        with TemporaryDirectory() as folder:
            photos = Path(folder) / "photos"
            place.photograph(rays, photos)
            views = load_views(
                photos, size=model.config.image_size, patch=model.patch, lenses="equirectangular"
            )
            scene = reconstruct(views, model)
            for refined in (False, True):
                if refined:
                    scene = refine(scene)
                poses = [panorama.world_from_camera for panorama in panoramas(scene)]
                score = areas(poses, place.poses.double())
                found = sum(pose is not None for pose in poses)
                rows.append(Row(seed, "equirectangular", True, refined, found, *score, None))
        yield rows


def table(rows: Sequence[Row]) -> str:
    """Return means over scenes as Markdown."""
    lines = [
        "| photos | calibration | refined | placed | AUC@30 | AUC@5 | median error of points |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((r.lens, r.given, r.refined) for r in rows)
    for lens, given, refined in keys:
        of = [r for r in rows if (r.lens, r.given, r.refined) == (lens, given, refined)]
        errors = [r.point_error for r in of if r.point_error is not None]
        error = f"{statistics.fmean(errors):.1f} %" if errors else ""
        lines.append(
            f"| {lens} | {'given' if given else 'unknown'} | {'yes' if refined else 'no'} "
            f"| {sum(r.registered for r in of)} of {VIEWS * len(of)} "
            f"| {statistics.fmean(r.auc30 for r in of):.1f} "
            f"| {statistics.fmean(r.auc5 for r in of):.1f} | {error} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, and write the results."""
    parser = argparse.ArgumentParser(description="What a known lens is worth")
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--rooms", type=int, default=2)
    parser.add_argument("--model", default="small")
    parser.add_argument("--output", type=Path, default=RESULTS / "lenses")
    options = parser.parse_args()
    model = load_model(options.model)
    rows: list[Row] = []
    scenes = run_lenses(model, range(options.scenes))
    for found in chain(scenes, run_panoramas(model, range(100, 100 + options.rooms))):
        rows += found
        written = json.dumps([asdict(row) for row in rows], indent=1)
        options.output.with_suffix(".json").write_text(written + "\n")
        options.output.with_suffix(".md").write_text(table(rows))
        print(table(rows), flush=True)


if __name__ == "__main__":
    main()
