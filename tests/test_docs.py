"""What the pages show runs: Python blocks, and the commands of `sh` blocks, in a folder of photos.

A page's blocks run in order. They may use `fast3r`, and a `model`, `views` and `scene` that are
there, as well as `out/scene.npz`. What cannot run here is not marked as python or sh, or stands
below a comment `<!-- not run: why -->`.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import fast3r
from fast3r.cli import main
from fast3r.cli.options import ACTIONS, COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
BLOCK = re.compile(r"(<!-- not run: [^>]*-->\n+)?^```(python|sh)\n(.*?)^```", re.M | re.S)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return language and text of the blocks of a page that run."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, text) for skip, language, text in found if not skip]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos and a video, like that of a reader."""
    import av
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("reader")
    (folder / "photos").mkdir()
    names = ["00006.jpg", "00007.jpg", "00010.jpg", "00018.jpg"]
    for number, name in enumerate(names, start=1):
        shutil.copy(ROOT / "examples/photos/buddha" / name, folder / f"photos/IMG_{number}.jpg")
    with av.open(str(folder / "video.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        photo = Image.open(folder / "photos/IMG_1.jpg").resize((480, 360))
        for step in range(12):
            frame = photo.crop((8 * step, 4 * step, 8 * step + 320, 4 * step + 240))
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame))))
        film.mux(stream.encode())
    return folder


@pytest.fixture
def known(folder: Path) -> dict[str, object]:
    model = fast3r.load_model("small", device="cpu")
    views = fast3r.load_views(folder / "photos", size=64, patch=model.patch)
    scene = fast3r.reconstruct(views, model)
    fast3r.save(scene, folder / "out/scene.npz")
    return {"model": model, "views": views, "scene": scene}


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda page: page.stem)
def test_what_a_page_shows_runs(page, folder, known, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names = {"fast3r": fast3r, **known}
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, page.name, "exec"), names)
            continue
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["fast3r"]:
                assert main(words[1:]) == 0, line


def test_the_page_of_the_command_line_has_every_command():
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    commands = {
        " ".join((name, action)).strip()
        for name, options in COMMANDS.items()
        for action in ACTIONS.get(options, {"": options})
    }
    assert set(re.findall(r"^```\{command\} (.+)$", page, re.M)) == commands


def test_the_map_in_the_readme_has_every_room_and_about_its_size():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^  ([\w.]+?)/? +([\d,]+)  ", readme, re.M))
    rooms = {path.name: path for path in (ROOT / "fast3r").iterdir() if path.name[0] != "_"}
    rooms = {name: path for name, path in rooms.items() if path.suffix in (".py", "")}
    assert set(rooms) == set(told) - {"__init__.py"}
    for name, path in rooms.items():
        files = [path] if path.is_file() else path.rglob("*.py")
        lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
        assert 0.8 * lines < int(told[name].replace(",", "")) < 1.25 * lines, name
