"""Runs methods on benchmarks: every result goes to disk at once, and is not made twice."""

import hashlib
import math
import os
import platform
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from fast3r import __version__
from fast3r.cluster.shards import Shard
from fast3r.data.frame import BrokenFrameError, Frame
from fast3r.evaluation.benchmark import Answer, Benchmark, DenseView, Method
from fast3r.evaluation.cost import Cost, measured
from fast3r.evaluation.pictures import write_picture
from fast3r.evaluation.results import (
    CaseResult,
    Manifest,
    forget_unreadable,
    is_finished,
    manifest_of,
    result_path,
    write_manifest,
    write_result,
    write_unreadable,
)


class Listener:
    """Told how far a run is; this one does nothing about it."""

    def said(self, text: str) -> None:
        """Learn of something that the user should know."""

    def advanced(self, done: int, steps: int) -> None:
        """Learn how many cases are done, of how many."""


def choose_cases(cases: Sequence[str], limit: int | None) -> Sequence[str]:
    """Return at most so many cases, evenly chosen.

    Raises:
        ValueError: The limit is less than 1.
    """
    if limit is None or limit >= len(cases):
        return cases
    if limit < 1:
        raise ValueError(f"--cases must be at least 1, got {limit}")
    return [cases[index * len(cases) // limit] for index in range(limit)]


def run(
    benchmark: Benchmark,
    methods: Sequence[Method],
    folder: Path,
    *,
    cases: Sequence[str],
    shard: Shard | None = None,
    listener: Listener | None = None,
) -> None:
    """Run methods on the cases that lack their results, all of them on the same photos.

    A method that fails gets the figures of a failure. A case whose photos cannot be read is
    written down as such, and tried again the next time.

    Args:
        benchmark: What is asked.
        methods: Who answers.
        folder: Of the results.
        cases: Those of the benchmark to use, by all shards together.
        shard: The part to do.
        listener: Told of progress.
    """
    listener, shard = listener or Listener(), shard or Shard()
    manifest = manifest_of(benchmark, cases)
    write_manifest(folder, manifest)
    mine = shard.of(cases)
    for done, case in enumerate(mine):
        listener.advanced(done, len(mine))
        missing = [m for m in methods if not is_finished(folder, manifest, m, case)]
        if not missing:
            continue
        try:
            frames = benchmark.frames(case)
        except BrokenFrameError as error:
            write_unreadable(folder, benchmark.name, case, str(error))
            listener.said(f"{benchmark.name} {case} cannot be read: {error}")
            continue
        forget_unreadable(folder, benchmark.name, case)
        for method in missing:
            result = _run_case(benchmark, method, frames, manifest, case, folder)
            listener.said(_line(result, manifest))
    listener.advanced(len(mine), len(mine))


@dataclass(frozen=True)
class _Attempt:
    """What came of calling a method."""

    answer: Answer | None
    error: str | None
    traceback: str | None
    cost: Cost


def _attempt(method: Method, frames: Sequence[Frame]) -> _Attempt:
    # Copies, so that no method can change what the next one sees.
    photos = [frame.image.copy() for frame in frames]
    cost = Cost()
    try:
        with measured() as cost:
            answer = method(photos)
        check_answer(answer, len(photos))
    except Exception as error:
        # Whatever a method dies of counts as its failure, and the others go on.
        trace = "".join(traceback.format_exception(error))
        return _Attempt(None, f"{type(error).__name__}: {error}", trace, cost)
    return _Attempt(answer, None, None, cost)


def _run_case(
    benchmark: Benchmark,
    method: Method,
    frames: Sequence[Frame],
    manifest: Manifest,
    case: str,
    folder: Path,
) -> CaseResult:
    attempt = _attempt(method, frames)
    answer, cost = attempt.answer, attempt.cost
    worst = _checked(benchmark.failure(frames), benchmark)
    figures = worst if answer is None else _checked(benchmark.score(frames, answer), benchmark)
    elsewhere = None if answer is None else answer.host_peak_gib
    result = CaseResult(
        benchmark=benchmark.name,
        protocol_hash=manifest.protocol_hash,
        case=case,
        photos=len(frames),
        frames_hash=frames_hash(frames),
        method=method.name,
        settings=dict(method.settings),
        figures=figures,
        worst=worst,
        error=attempt.error,
        traceback=attempt.traceback,
        seconds=cost.seconds,
        host_peak_gib=cost.host_peak_gib if elsewhere is None else elsewhere,
        device_peak_gib=cost.device_peak_gib,
        machine=machine(),
    )
    picture = result_path(folder, benchmark.name, method.name, case, ".jpg")
    write_picture(picture, frames, answer)
    write_result(folder, result)
    return result


def check_answer(answer: Answer, photos: int) -> None:
    """Accept an answer that a benchmark can score.

    Raises:
        ValueError: It has not an entry a photo, a pose is not rigid, a shape or a value impossible.
    """
    for name in ("world_from_camera", "intrinsics", "dense"):
        count = len(getattr(answer, name))
        if count != photos:
            raise ValueError(f"the answer has {count} entries in {name} for {photos} photos")
    for index, pose in enumerate(answer.world_from_camera):
        if pose is not None and not _is_rigid(pose):
            raise ValueError(f"the pose of photo {index} is not rigid:\n{pose}")
    for index, intrinsics in enumerate(answer.intrinsics):
        if intrinsics is not None and not (
            intrinsics.shape == (3, 3) and np.isfinite(intrinsics).all() and intrinsics[0, 0] > 0
        ):
            raise ValueError(f"the intrinsics of photo {index} are impossible:\n{intrinsics}")
    for index, dense in enumerate(answer.dense):
        if dense is not None:
            _check_dense(dense, index)


def _check_dense(dense: DenseView, index: int) -> None:
    shapes = dense.points.shape, (*dense.depth.shape, 3), (*dense.confidence.shape, 3)
    if len(set(shapes)) > 1:
        raise ValueError(f"photo {index} has points, depth and confidence of shapes {shapes}")
    if not all(np.isfinite(each).all() for each in (dense.points, dense.depth, dense.confidence)):
        raise ValueError(f"photo {index} has dense values that are not finite; unknown depth is 0")
    affine = dense.photo_from_grid
    upright = affine.shape == (3, 3) and affine[0, 1] == affine[1, 0] == 0
    if not (upright and affine[0, 0] > 0 and affine[1, 1] > 0):
        raise ValueError(f"photo {index} has a grid that does not stand upright on it:\n{affine}")


def _is_rigid(pose: np.ndarray) -> bool:
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        return False
    rotation = pose[:3, :3]
    orthonormal = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
    return orthonormal and np.linalg.det(rotation) > 0 and np.allclose(pose[3], (0, 0, 0, 1))


def frames_hash(frames: Sequence[Frame]) -> str:
    """Return a fingerprint of photos and their true cameras."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(str(frame.image.shape).encode())
        digest.update(np.ascontiguousarray(frame.image).tobytes())
        cameras = np.concatenate([frame.intrinsics.ravel(), frame.world_from_camera.ravel()])
        digest.update(cameras.astype("<f4").tobytes())
    return digest.hexdigest()[:16]


def machine() -> Mapping[str, str]:
    """Return versions and hardware."""
    facts = {
        "fast3r": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "numpy": np.__version__,
    }
    with suppress(PackageNotFoundError):
        facts["pycolmap"] = version("pycolmap")
    if "torch" in sys.modules:
        import torch

        facts["torch"] = f"{torch.__version__}, {torch.get_num_threads()} threads"
        if torch.cuda.is_available():
            facts["gpu"] = torch.cuda.get_device_name()
    return facts


def _checked(figures: Mapping[str, float], benchmark: Benchmark) -> dict[str, float]:
    assert set(figures) == set(benchmark.columns), "a benchmark scores by its columns"
    assert not any(math.isinf(value) for value in figures.values()), "undefined is nan"
    return dict(figures)


def _line(result: CaseResult, manifest: Manifest) -> str:
    place = f"{result.benchmark} {result.case} {result.method}"
    if result.error is not None:
        return f"{place} failed: {result.error.splitlines()[0]}"
    first = manifest.columns[0]
    return f"{place}: {first} {result.figures[first]:.3g} ({result.seconds:.1f} s)"
