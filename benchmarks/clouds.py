"""Seconds that the errors of a point cloud take: nearest neighbours both ways, and normals.

    python -m benchmarks.clouds --points 100000 1000000 --threads 1

A bumpy surface against itself with noise; its points in the order of an image, then shuffled.
"""

import argparse
import os
import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.poses import processor
from fast3r.evaluation.metrics.clouds import cloud_distances, estimate_normals


def surface(points: int) -> Tensor:
    side = torch.linspace(0, 1, round(points**0.5), dtype=torch.float64)
    x, y = torch.meshgrid(side, side, indexing="xy")
    return torch.stack((x, y, 0.1 * torch.sin(6 * x) * torch.cos(5 * y)), dim=-1).flatten(0, 1)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def row(points: int, threads: int, *, shuffled: bool) -> str:
    generator = torch.Generator().manual_seed(0)
    truth = surface(points)
    predicted = truth + 0.002 * torch.randn(truth.shape, generator=generator)
    if shuffled:
        predicted = predicted[torch.randperm(len(predicted), generator=generator)]
    distances_s = seconds(lambda: cloud_distances(predicted, truth, threads=threads))
    normals_s = seconds(lambda: estimate_normals(predicted, threads=threads))
    order = "shuffled" if shuffled else "image"
    return f"| {len(truth):,} | {order} | {distances_s:.2f} | {normals_s:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--points", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{processor()}, {options.threads} threads, load {os.getloadavg()[0]:.1f}\n")
    print("| points | order | both distances s | normals of one cloud s |")
    print("|---:|---|---:|---:|")
    for points in options.points:
        for shuffled in (False, True):
            print(row(points, options.threads, shuffled=shuffled), flush=True)


if __name__ == "__main__":
    main()
