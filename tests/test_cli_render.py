"""`fast3r render`: pictures of a saved scene, without a display."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from fast3r.cli import main
from tests.scenes import make_scene, without_cameras

REPOSITORY = Path(__file__).parents[1]
QUICK = ("--size", 96, 64, "--film-size", 64, 48, "--frames", 3, "--seconds", 1, "--quiet")

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def render(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs the command on a saved scene, at small sizes."""
    make_scene().save(tmp_path / "out/scene.npz")

    def run(*arguments: object, scene: Path | None = None) -> tuple[int, str, str]:
        given = [scene or tmp_path / "out/scene.npz", "--output", tmp_path / "pictures"]
        code = main(["render", *map(str, [*given, *QUICK, *arguments])])
        return code, *capfd.readouterr()

    return run


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def test_it_makes_every_picture_and_prints_the_folder(render: Command, tmp_path: Path) -> None:
    code, out, err = render()
    assert code == 0, err
    assert out == f"{tmp_path / 'pictures'}\n"
    assert names_in(tmp_path / "pictures") == [
        "depth.png",
        "still.png",
        "top-view.png",
        "turntable.gif",
    ]
    assert picture(tmp_path / "pictures/still.png").shape == (64, 96, 3)
    assert picture(tmp_path / "pictures/top-view.png").shape == (64, 96, 3)
    with Image.open(tmp_path / "pictures/turntable.gif") as film:
        assert (film.n_frames, film.size) == (3, (64, 48))


def test_the_folder_of_a_scene_is_as_good_as_its_file(render: Command, tmp_path: Path) -> None:
    assert render("--picture", "still", scene=tmp_path / "out")[0] == 0
    assert names_in(tmp_path / "pictures") == ["still.png"]


def test_only_the_pictures_that_were_asked_for_are_made(render: Command, tmp_path: Path) -> None:
    assert render("--picture", "depth", "--picture", "top-view")[0] == 0
    assert names_in(tmp_path / "pictures") == ["depth.png", "top-view.png"]


@pytest.mark.parametrize("kind", ["webp", "mp4"])
def test_the_film_has_the_format_that_was_asked_for(
    render: Command, tmp_path: Path, kind: str
) -> None:
    assert render("--picture", "turntable", "--film", kind)[0] == 0
    path = tmp_path / f"pictures/turntable.{kind}"
    if kind == "mp4":
        with av.open(str(path)) as film:
            assert sum(1 for _ in film.decode(video=0)) == 3
    else:
        with Image.open(path) as film:
            assert film.n_frames == 3


@pytest.mark.parametrize(
    "options",
    [
        ("--color-by", "view"),
        ("--hide-cameras",),
        ("--point-size", 4),
        ("--min-conf-percentile", 95),
        ("--views", "2,day0/*_0.jpg"),
    ],
)
def test_every_option_of_the_still_changes_it(
    render: Command, tmp_path: Path, options: tuple[object, ...]
) -> None:
    still = tmp_path / "pictures/still.png"
    render("--picture", "still")
    before = picture(still)
    assert render("--picture", "still", *options)[0] == 0
    assert (picture(still) != before).any()


@pytest.mark.parametrize("path", ["orbit", "photos"])
def test_the_path_of_the_film_can_be_chosen(render: Command, tmp_path: Path, path: str) -> None:
    film = tmp_path / "pictures/turntable.gif"
    render("--picture", "turntable", "--path", "swing")
    before = film.read_bytes()
    assert render("--picture", "turntable", "--path", path)[0] == 0
    assert film.read_bytes() != before


def test_the_depth_strip_has_a_row_for_each_chosen_view(render: Command, tmp_path: Path) -> None:
    render("--picture", "depth", "--views", "1,3")
    assert picture(tmp_path / "pictures/depth.png").shape[0] == 2 * 160


def test_pictures_that_were_finished_stay_when_a_later_one_is_interrupted(
    render: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(scene: object, path: Path, **options: object) -> None:
        path.write_bytes(b"half a film")
        raise KeyboardInterrupt

    monkeypatch.setattr("fast3r.cli.render.write_turntable", interrupted)
    code, out, err = render()
    assert (code, out, err) == (130, "", "fast3r: interrupted\n")
    assert names_in(tmp_path / "pictures") == ["depth.png", "still.png", "top-view.png"]


def test_progress_is_on_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_scene().save(tmp_path / "scene.npz")
    options = [*map(str, QUICK[:-1]), "--picture", "still"]
    assert main(["render", str(tmp_path), "--output", str(tmp_path / "pictures"), *options]) == 0
    out, err = capfd.readouterr()
    assert out == f"{tmp_path / 'pictures'}\n"
    assert "still: " in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--size", 0, 10), "sides of a picture must lie in [16, 8192] px, got 0x10"),
        (("--film-size", 64, 9999), "got 64x9999"),
        (("--frames", 1), "a film has from 2 to 3000 frames, got 1"),
        (("--seconds", 0), "3 frames must last from 0.06 to 30 seconds, got 0"),
        (("--point-size", -1), "--point-size must be positive, got -1"),
        (("--point-size", "nan"), "--point-size must be positive, got nan"),
        (("--point-size", "inf"), "--point-size must be positive, got inf"),
        (("--views", "9"), "views are numbered from 1 to 4, got '9'"),
        (("--views", "cat.jpg"), "no view is named 'cat.jpg'; there are day0/IMG_0.jpg"),
        (("--min-conf-percentile", 101), "must lie in [0, 100], got 101"),
    ],
)
def test_what_makes_no_picture_is_refused_in_one_line(
    render: Command, tmp_path: Path, options: tuple[object, ...], words: str
) -> None:
    code, out, err = render(*options)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("pictures/*"))


def test_a_scene_without_cameras_says_why(render: Command, tmp_path: Path) -> None:
    without_cameras(make_scene(("landscape",)), 0).save(tmp_path / "lost.npz")
    code, out, err = render(scene=tmp_path / "lost.npz")
    assert (code, out) == (2, "")
    assert "none of the 1 views has a camera" in err
    assert "too few sure points" in err


def test_a_scene_without_points_says_so(render: Command, tmp_path: Path) -> None:
    scene = make_scene(("landscape",))
    scene.depth[0][:] = 0
    scene.save(tmp_path / "empty.npz")
    code, out, err = render(scene=tmp_path / "empty.npz")
    assert (code, out) == (2, "")
    assert "no point is left to draw" in err


def test_what_is_no_scene_is_refused(render: Command, tmp_path: Path) -> None:
    (tmp_path / "scene.ply").write_bytes(b"ply")
    code, _, err = render(scene=tmp_path / "scene.ply")
    assert code == 2
    assert "only .npz holds a whole scene" in err


def test_pictures_do_not_join_the_photos(render: Command, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    scene = make_scene(("landscape",))
    views = [replace(scene.views[0], source=folder / "IMG_0.jpg")]
    replace(scene, views=views).save(tmp_path / "beside.npz")
    code, _, err = render(scene=tmp_path / "beside.npz")
    assert code == 2
    assert f"pictures would join the photos in {folder}" in err


@pytest.mark.skipif(sys.platform != "linux", reason="displays are named so on Linux only")
def test_no_display_is_needed(tmp_path: Path) -> None:
    make_scene(("landscape",)).save(tmp_path / "scene.npz")
    bare = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "fast3r", "render", str(tmp_path), "--output", str(tmp_path)]
    options = ["--picture", "still", "--size", "64", "48", "--quiet"]
    subprocess.run([*command, *options], cwd=REPOSITORY, env=bare, check=True, capture_output=True)
    assert picture(tmp_path / "still.png").shape == (48, 64, 3)
