"""Speed and accuracy of camera poses from pointmaps, beside OpenCV, PoseLib and pycolmap.

    python -m benchmarks.poses            # writes benchmarks/results/poses-cpu.{json,md}

The scene: views of 512x384 px with a focal length of 450 px; points at depths from 2 to 6 units
with Gaussian noise of 1 % of the depth along each axis (4.5 px in the image); an outlier is the
position of some other point of the view's frustum. Libraries that are not installed are left out.
With one thread seconds are the processor's own, so that other work on the machine counts little.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.report import load, parser_of, processor
from fast3r.geometry.cameras import invert_rigid, pinhole, rays_through
from fast3r.geometry.poses import solve_poses
from fast3r.geometry.transforms import rotation_angle_deg, rotation_exp

HEIGHT, WIDTH, FOCAL_PX, NOISE = 384, 512, 450.0, 0.01
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Scene:
    """World points, the pixels that saw them, and the cameras to be found."""

    points: Tensor
    pixels: Tensor
    intrinsics: Tensor
    world_from_camera: Tensor


@dataclass(frozen=True)
class Row:
    """What one method reached; angles in degrees, centres in units of the world."""

    views: int
    method: str
    threshold_px: float
    outliers: float
    seconds: float
    rotation_median_deg: float
    rotation_max_deg: float
    centre_median: float
    centre_max: float
    failed: int
    """Views without a pose, or more than 5 degrees off."""


def make_scene(views: int, points: int, outliers: float, seed: int = 0) -> Scene:
    generator = torch.Generator().manual_seed(seed)

    def seen(pixels: Tensor) -> Tensor:
        depth = 2 + 4 * torch.rand(views, points, 1, generator=generator)
        return rays_through(pixels, intrinsics) * depth

    size = torch.tensor([WIDTH, HEIGHT])
    intrinsics = pinhole(torch.full((views,), FOCAL_PX), HEIGHT, WIDTH)
    pixels = torch.rand(views, points, 2, generator=generator) * size
    local = seen(pixels)
    local = local + NOISE * local[..., 2:] * torch.randn(local.shape, generator=generator)
    elsewhere = seen(torch.rand(views, points, 2, generator=generator) * size)
    is_outlier = torch.rand(views, points, 1, generator=generator) < outliers
    local = torch.where(is_outlier, elsewhere, local)
    pose = torch.eye(4).repeat(views, 1, 1)
    pose[:, :3, :3] = rotation_exp(torch.randn(views, 3, generator=generator))
    pose[:, :3, 3] = 2 * torch.randn(views, 3, generator=generator)
    world = local @ pose[:, :3, :3].mT + pose[:, None, :3, 3]
    return Scene(world, pixels, intrinsics, pose)


def ours(scene: Scene, threshold_px: float, threads: int) -> Tensor:
    del threads
    return solve_poses(
        scene.points, scene.pixels, scene.intrinsics, max_reprojection_px=threshold_px
    ).world_from_camera


def opencv(scene: Scene, threshold_px: float, threads: int) -> Tensor:
    """Solve by the recipe of the published Fast3R: SQPnP in 100 iterations."""
    import cv2

    cv2.setNumThreads(1)

    def solve(points: np.ndarray, pixels: np.ndarray, intrinsics: np.ndarray) -> np.ndarray | None:
        found, turn, shift, _ = cv2.solvePnPRansac(
            points,
            pixels,
            intrinsics,
            None,
            iterationsCount=100,
            reprojectionError=threshold_px,
            flags=cv2.SOLVEPNP_SQPNP,
        )
        return np.concatenate((cv2.Rodrigues(turn)[0], shift), axis=1) if found else None

    return _view_by_view(solve, scene, threads)


def poselib(scene: Scene, threshold_px: float, threads: int) -> Tensor:
    import poselib

    def solve(points: np.ndarray, pixels: np.ndarray, intrinsics: np.ndarray) -> np.ndarray | None:
        parameters = [intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]]
        camera = {"model": "PINHOLE", "width": WIDTH, "height": HEIGHT, "params": parameters}
        pose, _ = poselib.estimate_absolute_pose(
            pixels, points, camera, {"max_reproj_error": threshold_px}, {}
        )
        return pose.Rt

    return _view_by_view(solve, scene, threads)


def pycolmap(scene: Scene, threshold_px: float, threads: int) -> Tensor:
    import pycolmap

    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac.max_error = threshold_px

    def solve(points: np.ndarray, pixels: np.ndarray, intrinsics: np.ndarray) -> np.ndarray | None:
        parameters = [intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]]
        camera = pycolmap.Camera(model="PINHOLE", width=WIDTH, height=HEIGHT, params=parameters)
        found = pycolmap.estimate_and_refine_absolute_pose(pixels, points, camera, options)
        return found["cam_from_world"].matrix() if found else None

    return _view_by_view(solve, scene, threads)


def _view_by_view(
    solve: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray | None],
    scene: Scene,
    threads: int,
) -> Tensor:
    """Return world_from_camera of each view, solved in a pool of threads; nan where it failed."""
    inputs = (scene.points, scene.pixels, scene.intrinsics)
    arrays = [part.to(torch.float64).numpy() for part in inputs]
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(solve, *arrays))
    camera_from_world = torch.eye(4, dtype=torch.float64).repeat(len(found), 1, 1)
    for pose, solution in zip(camera_from_world, found, strict=True):
        pose[:3] = torch.nan if solution is None else torch.from_numpy(solution)
    return invert_rigid(camera_from_world).to(torch.float32)


METHODS = {"fast3r": ours, "OpenCV": opencv, "PoseLib": poselib, "pycolmap": pycolmap}
PACKAGES = {"fast3r": "fast3r", "OpenCV": "cv2", "PoseLib": "poselib", "pycolmap": "pycolmap"}


def measure(
    method: str, scene: Scene, threshold_px: float, outliers: float, options: argparse.Namespace
) -> Row:
    seconds: list[float] = []
    found = torch.empty(0, 4, 4)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    # The libraries take up to a minute; their time varies little.
    for _ in range(options.repeats if method == "fast3r" else 1):
        start = clock()
        found = METHODS[method](scene, threshold_px, options.threads)
        seconds.append(clock() - start)
    truth = scene.world_from_camera
    rotation = rotation_angle_deg(found[:, :3, :3], truth[:, :3, :3]).double()
    centre = torch.linalg.vector_norm(found[:, :3, 3] - truth[:, :3, 3], dim=-1).double()
    posed = rotation.isfinite()
    return Row(
        len(truth),
        method,
        threshold_px,
        outliers,
        statistics.median(seconds),
        rotation[posed].median().item(),
        rotation[posed].max().item(),
        centre[posed].median().item(),
        centre[posed].max().item(),
        int((~posed | (rotation > 5)).sum()),
    )


def table(rows: list[Row], setting: dict[str, object]) -> str:
    lines = [
        "# Camera poses from pointmaps",
        "",
        f"{setting['points']} points a view, {WIDTH}x{HEIGHT} px, focal "
        f"{FOCAL_PX:g} px, noise 1 % of depth (4.5 px), {setting['threads']} threads "
        f"({setting['processor']}; load at start {setting['load_at_start']}). "
        "Centres in units of a scene that is 2 to 6 units away. "
        "`python -m benchmarks.poses` makes this file.",
        "",
        "| views | outliers | method | threshold px | seconds | rotation deg, median / max "
        "| centre, median / max | failed views |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.views} | {row.outliers:.0%} | {row.method} | {row.threshold_px:g} "
            f"| {row.seconds:.2f} | {row.rotation_median_deg:.3f} / {row.rotation_max_deg:.3f} "
            f"| {row.centre_median:.4f} / {row.centre_max:.4f} | {row.failed} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--views", type=int, default=100)
    parser.add_argument(
        "--many", type=int, nargs="*", default=[1000], help="also so many views, with our own"
    )
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--repeats", type=int, default=7, help="of our own method; the median counts"
    )
    parser.set_defaults(output=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    setting = {
        "points": options.points,
        "threads": options.threads,
        "processor": processor(),
        "load_at_start": load(),
        "torch": torch.__version__,
    }
    rows = []
    for views, outliers in product((options.views, *options.many), (0.3, 0.6)):
        scene = make_scene(views, options.points, outliers)
        methods = [name for name in METHODS if find_spec(PACKAGES[name]) is not None]
        for method in methods if views == options.views else ["fast3r"]:
            for threshold_px in (5.0, 12.0):
                rows.append(measure(method, scene, threshold_px, outliers, options))
                print(rows[-1], flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    report = {"setting": setting, "rows": [asdict(row) for row in rows]}
    (options.output / "poses-cpu.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.output / "poses-cpu.md").write_text(table(rows, setting))


if __name__ == "__main__":
    main()
