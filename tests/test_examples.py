"""The example programs run as they are written."""

import json
import os
import re
import shutil
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


def test_the_tutorial_runs_from_its_first_cell_to_its_last(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples/photos/banana", tmp_path / "photos/banana")
    shutil.copy(ROOT / "examples/tutorial.ipynb", tmp_path)
    subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", "tutorial.ipynb", "--output", "done.ipynb"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    cells = json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [cell["outputs"] for cell in cells if cell["cell_type"] == "code"]
    assert all(outputs)
    # A scene at the end of a cell is one output: what it says, a picture and a page.
    (scene,) = outputs[1]
    shown = "".join(scene["data"]["text/html"])
    assert re.search(r"14 photos, 1\d with a camera", shown)
    assert "<img" in shown
    assert "<iframe" in shown
    kinds = [kind for cell in outputs for output in cell for kind in output.get("data", {})]
    assert kinds.count("image/png") == 3
    assert kinds.count("image/gif") == 1
    assert (tmp_path / "out/tutorial/colmap/sparse/0/points3D.bin").exists()


def test_the_tutorial_is_kept_without_outputs() -> None:
    text = (ROOT / "examples/tutorial.ipynb").read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
