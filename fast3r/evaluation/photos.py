"""Camera poses on real photos with known cameras, beside the trivial answer.

    python -m fast3r.evaluation.photos SETS_FOLDER --model small

A set is a folder with `cameras.json` (`images[]` with `file` and `c2w`, a 4x4 camera-to-world
matrix in OpenCV axes) and the photos it names. Evenly chosen photos are used; a view without a
pose counts as wrong; figures are means over all pairs of a set, then over sets.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.evaluation.metrics import (
    PoseScore,
    pose_score,
    relative_pose_errors,
    trivial_poses,
)
from fast3r.models.checkpoints import load_model, model_hash
from fast3r.models.fast3r import Fast3R
from fast3r.scene.run import reconstruct
from fast3r.views.load import load_views


@dataclass(frozen=True)
class SetScore:
    """One photo set."""

    name: str
    """Name of its folder."""

    photos: int
    """Photos used."""

    registered: int
    """Photos with a pose."""

    model: PoseScore
    """Of the model."""

    trivial: PoseScore
    """Of no rotation and a step along x."""


def read_set(folder: Path, *, limit: int) -> tuple[list[Path], Float[Tensor, "photos 4 4"]]:
    """Return at most `limit` evenly chosen photos of a set and their world_from_camera.

    Raises:
        ValueError: `cameras.json` is missing or not as described above.
    """
    path = folder / "cameras.json"
    try:
        images = json.loads(path.read_text())["images"]
        entries = [(folder / image["file"], image["c2w"]) for image in images]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected images[] with file and c2w, found {type(error).__name__}: {error}"
        ) from error
    count = min(limit, len(entries))
    chosen = torch.linspace(0, len(entries) - 1, count).round().long().tolist()
    poses = torch.tensor([entries[k][1] for k in chosen], dtype=torch.float64)
    return [entries[k][0] for k in chosen], poses


def score_set(folder: Path, model: Fast3R, *, size: int, limit: int = 10) -> SetScore:
    """Return the score of one set."""
    paths, truth = read_set(folder, limit=limit)
    scene = reconstruct(load_views(paths, size=size, patch=model.patch), model)
    poses = [None if c is None else c.world_from_camera.double() for c in scene.cameras]
    return SetScore(
        name=folder.name,
        photos=len(paths),
        registered=len(scene.registered),
        model=pose_score(*relative_pose_errors(poses, truth)),
        trivial=pose_score(*relative_pose_errors(list(trivial_poses(len(paths))), truth)),
    )


def mean_score(scores: list[PoseScore]) -> PoseScore:
    """Return the mean over sets, each counting the same."""
    rows = [tuple(asdict(score).values()) for score in scores]
    return PoseScore(*(sum(column) / len(rows) for column in zip(*rows, strict=True)))


def table(scores: list[SetScore]) -> str:
    """Return the scores as Markdown."""
    head = "| set | photos | registered | RRA@15 | RTA@15 | AUC@30 | rotation |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|"]
    for s in scores:
        lines.append(f"| {s.name} | {s.photos} | {s.registered} {_cells(s.model)}")
    lines.append(f"| **mean** | | {_cells(mean_score([s.model for s in scores]))}")
    lines.append(f"| trivial answer | | {_cells(mean_score([s.trivial for s in scores]))}")
    return "\n".join(lines)


def _cells(p: PoseScore) -> str:
    return f"| {p.rra15:.1%} | {p.rta15:.1%} | {100 * p.auc30:.1f} | {p.rotation_deg:.1f}° |"


def main() -> None:
    """Evaluate a model on all sets of a folder and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--model", default="small")
    parser.add_argument("--size", type=int, help="long side at network size; the model's own")
    parser.add_argument("--photos", type=int, default=10, help="at most so many of a set")
    parser.add_argument("--output", type=Path, help="JSON file")
    options = parser.parse_args()
    model = load_model(options.model)
    size = options.size or model.config.image_size
    folders = sorted(path.parent for path in options.sets.glob("*/cameras.json"))
    if not folders:
        raise SystemExit(f"{options.sets}: no folder with a cameras.json in it")
    scores = []
    for folder in folders:
        scores.append(score_set(folder, model, size=size, limit=options.photos))
        print(table(scores[-1:]).splitlines()[2], flush=True)
    print(table(scores))
    if options.output:
        report = {
            "model": options.model,
            "hash": model_hash(model),
            "size": size,
            "sets": [asdict(score) for score in scores],
        }
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
