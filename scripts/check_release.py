"""Build wheel and sdist, install each in an empty environment, and reconstruct photos with it.

    python scripts/check_release.py                        # core only
    python scripts/check_release.py --extras viewer media  # and each of these on top, one by one
    python scripts/check_release.py --torch torch==2.5.1 --numpy numpy==1.26.4 --python python3.10

Needs pip's access to a package index; `PIP_CONSTRAINT` and the like are heeded.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "examples" / "photos" / "buddha"

MODULES = {
    "viewer": "fast3r.viz.viewer.page",
    "media": "fast3r.views.video",
    "export": "fast3r.export.las",
    "mesh": "skimage.measure",
    "eval": "fast3r.evaluation.report",
    "train": "fast3r.training.run",
    "refine": "pycolmap",
    "serve": "fast3r.serve.app",
    "demo": "fast3r.viz.demo_app.page",
}
"""What has to import once an extra is installed."""


def run(*words: str | Path, **options: object) -> str:
    """Run a command, outside of the repository, and return what it printed."""
    return subprocess.run(
        [str(word) for word in words], check=True, text=True, stdout=subprocess.PIPE, **options
    ).stdout


def build(python: str, folder: Path) -> list[Path]:
    """Return the sdist and the wheel that was made from it."""
    run(python, "-m", "venv", folder / "builder")
    builder = folder / "builder/bin/python"
    run(builder, "-m", "pip", "install", "--quiet", "build")
    run(builder, "-m", "build", "--outdir", folder / "dist", ROOT)
    return sorted((folder / "dist").iterdir())


def check_contents(wheel: Path) -> None:
    """Look for what has to be in a wheel, and for what must not."""
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("fast3r/py.typed", "fast3r/models/weights/small.safetensors"):
        assert wanted in names, f"{wheel.name} lacks {wanted}"
    strange = [name for name in names if not name.startswith(("fast3r/", "fast3r-"))]
    assert not strange, f"{wheel.name} holds {strange}"
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size / 1e6:.1f} MB")


def check_install(python: str, package: Path, options: argparse.Namespace, folder: Path) -> None:
    """Install a package in an empty environment and reconstruct photos."""
    place = folder / f"with-{package.suffix[1:]}"
    run(python, "-m", "venv", place)
    pip = [place / "bin/python", "-m", "pip", "install", "--quiet"]
    run(*pip, *filter(None, (options.torch, options.numpy)))
    run(*pip, package)
    out = place / "out"
    photos = sorted(PHOTOS.glob("*.jpg"))[:4]
    quiet = {"cwd": place, "env": os.environ | {"PYTHONPATH": "", "PYTHONWARNINGS": "error"}}
    said = run(place / "bin/fast3r", "reconstruct", *photos, "--output", out, "--quiet", **quiet)
    assert said.strip() == str(out), said
    views = json.loads((out / "cameras.json").read_text())["views"]
    print(f"{package.name}: {len(views)} photos reconstructed with the core alone")
    for extra in options.extras:
        run(*pip, f"{package}[{extra}]")
        run(place / "bin/python", "-c", f"import {MODULES[extra]}", cwd=place)
        print(f"{package.name}[{extra}]: {MODULES[extra]} imports")


def main() -> None:
    """Build and check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--torch", default="torch>=2.5")
    parser.add_argument("--numpy", default=None)
    parser.add_argument("--extras", nargs="*", default=[], choices=list(MODULES))
    parser.add_argument("--wheel-only", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sdist_and_wheel = build(options.python, Path(folder))
        wheels = [path for path in sdist_and_wheel if path.suffix == ".whl"]
        check_contents(wheels[0])
        for package in wheels if options.wheel_only else sdist_and_wheel:
            check_install(options.python, package, options, Path(folder))


if __name__ == "__main__":
    main()
