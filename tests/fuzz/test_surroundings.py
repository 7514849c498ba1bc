"""Odd folders and disks: names of all kinds, loops, copies, no room, no permission, many files."""

import errno
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from fast3r.export.formats import FORMATS, write_formats
from fast3r.models.checkpoints import load_model, save_model
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.load import load_views
from tests.commands import run_command
from tests.scenes import make_scene
from tests.views.pictures import noise, save_all

ODD_NAMES = [
    "a b.png",
    "写真 é.png",
    "new\nline.png",
    '"it\'s".png',
    "-rf.png",
    "*.png",
    "[1].png",
    "$(x)`y`.png",
    "%s{0}.png",
    "~.png",
    "a\\b.png",
    "x" * 240 + ".png",
]


@pytest.fixture(scope="module")
def scene() -> Reconstruction:
    return make_scene(("landscape", "portrait"))


@contextmanager
def no_room(num_bytes: int) -> Iterator[None]:
    """Let files grow to so many bytes, as on a disk that is almost full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


# --- disks -----------------------------------------------------------------------------------


# Python 3.10 ends a zip file that found no room once more when it is deleted.
END_OF_ZIP = pytest.mark.filterwarnings("ignore:.*ZipFile.__del__")


@END_OF_ZIP
@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if kind.installed])
def test_a_format_that_finds_no_room_leaves_nothing_behind(
    name: str, scene: Reconstruction, tmp_path: Path
) -> None:
    with no_room(150), pytest.raises(OSError):  # noqa: PT011 (of several kinds)
        write_formats(scene, tmp_path / "out", [name])
    assert not list((tmp_path / "out").iterdir())


@END_OF_ZIP
@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("scene.npz", lambda path: make_scene(("landscape",)).save(path)),
        ("a.safetensors", lambda path: save_model(load_model("small", device="cpu"), path)),
    ],
)
def test_what_was_there_stays_where_there_is_no_room(
    name: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"before")
    with no_room(2000), pytest.raises(OSError):  # noqa: PT011 (of several kinds)
        write(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_ends_a_command_in_one_line(
    number: int, scene: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    scene.save(tmp_path / "scene.npz")

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "out"))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    outcome = run_command(
        capfd, "export", tmp_path / "scene.npz", "--output", tmp_path / "out", "--format", "ply"
    )
    assert outcome.code != 0
    assert os.strerror(number).lower() in outcome.err.lower()
    assert "Traceback" not in outcome.err


# --- folders ---------------------------------------------------------------------------------


def test_photos_of_all_names_are_read_under_their_names(tmp_path: Path) -> None:
    save_all(tmp_path, *ODD_NAMES)
    views = load_views(tmp_path, size=64, patch=8)
    assert {view.name for view in views} == set(ODD_NAMES)
    assert not views.skipped


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_photo_of_any_name_can_be_named(name: str, tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, name)
    assert [view.name for view in load_views([path], size=64, patch=8)] == [name]


def test_broken_copied_and_circular_files_do_not_stop_the_others(tmp_path: Path) -> None:
    save_all(tmp_path, "1.png", "2.png")
    os.link(tmp_path / "1.png", tmp_path / "copy.png")
    (tmp_path / "symlink.png").symlink_to(tmp_path / "2.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "here").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "folder.png").mkdir()
    views = load_views(tmp_path, size=64, patch=8)
    assert [view.name for view in views] == ["1.png", "2.png", "copy.png", "symlink.png"]
    assert {photo.name for photo in views.skipped} == {"empty.jpg", "loop.png", "nowhere.png"}


def test_masks_in_a_folder_that_holds_itself_are_found(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    save_all(tmp_path, "1.png")
    Image.new("L", (64, 48), 255).save(tmp_path / "masks" / "1.png")
    (tmp_path / "masks" / "here").symlink_to(tmp_path / "masks", target_is_directory=True)
    (view,) = load_views(tmp_path, masks=tmp_path / "masks", size=64, patch=8)
    assert view.name == "1.png"


def test_a_run_in_an_odd_folder_can_be_repeated_to_the_bit(tmp_path: Path, capfd) -> None:
    photos, output = tmp_path / "my 写真\nphotos", tmp_path / "out 'put'"
    save_all(photos, "a b.png", "new\nline.png", height=96, width=128)
    (photos / "empty.jpg").touch()
    (output / ".fast3r-left-by-a-killed-run").mkdir(parents=True)
    written = []
    for _ in range(2):
        outcome = run_command(
            capfd, "reconstruct", photos, "--output", output, "--format", "ply,npz", "--seed", 3
        )
        assert outcome.code in (0, 3), outcome.err
        assert "Traceback" not in outcome.err
        written.append({p.name: p.read_bytes() for p in output.iterdir() if p.is_file()})
    assert written[0].keys() == written[1].keys()
    for name in ("cameras.json", "scene.ply"):
        assert written[0].get(name) == written[1].get(name)
    report = json.loads(written[1]["report.json"])
    assert "empty.jpg" in json.dumps(report)


@pytest.mark.slow
def test_ten_thousand_photos_take_seconds_and_little_memory(tmp_path: Path) -> None:
    noise(48, 64).save(tmp_path / "0.png")
    for number in range(1, 10_000):
        os.link(tmp_path / "0.png", tmp_path / f"{number}.png")
    load_views([tmp_path / "0.png"], size=64, patch=8)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    views = load_views(tmp_path, size=64, patch=8)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(views) == 10_000
    # Measured: 0.3 ms of processor time and 2 kB each.
    assert time.process_time() - start < 30
    assert grown < 200_000
    assert [view.name for view in views[9:12]] == ["9.png", "10.png", "11.png"]
