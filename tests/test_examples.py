"""The example programs run as they are written."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_photos_become_points_and_a_scene_becomes_a_colmap_model(tmp_path: Path) -> None:
    photos = ROOT / "examples" / "photos" / "buddha"
    said = run("examples/photos_to_points.py", photos, tmp_path / "points")
    assert len(said.splitlines()) == 13
    assert (tmp_path / "points" / "scene.ply").stat().st_size > 100_000

    few = [photos / name for name in ("00006.jpg", "00007.jpg", "00010.jpg")]
    scene = run("-m", "fast3r", "reconstruct", *few, "--output", tmp_path, "--format", "npz")
    assert scene.strip() == str(tmp_path)
    said = run("examples/scene_to_colmap.py", tmp_path / "scene.npz", tmp_path / "colmap")
    assert "cameras" in said
    assert (tmp_path / "colmap" / "sparse" / "0" / "points3D.bin").exists()
