"""`fast3r render`: pictures of a saved scene, without a display."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.commands import REPOSITORY, Command, Outcome, assert_refused
from tests.scenes import make_scene, without_cameras

QUICK = ("--size", 96, 64, "--frames", 3, "--seconds", 1, "--quiet")


@pytest.fixture
def render(fast3r: Command, tmp_path: Path) -> Command:
    """Runs the command on a saved scene, at small sizes."""
    make_scene().save(tmp_path / "out/scene.npz")

    def run(*arguments: object, scene: Path | None = None) -> Outcome:
        place = scene or tmp_path / "out/scene.npz"
        return fast3r("render", place, "--output", tmp_path / "pictures", *QUICK, *arguments)

    return run


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def test_it_makes_every_picture_and_prints_the_folder(render: Command, tmp_path: Path) -> None:
    done = render()
    assert done.code == 0, done.err
    assert done.out == f"{tmp_path / 'pictures'}\n"
    assert names_in(tmp_path / "pictures") == [
        "depth.png",
        "still.png",
        "top-view.png",
        "turntable.gif",
    ]
    assert picture(tmp_path / "pictures/still.png").shape == (64, 96, 3)
    assert picture(tmp_path / "pictures/top-view.png").shape == (64, 96, 3)
    with Image.open(tmp_path / "pictures/turntable.gif") as film:
        assert (film.n_frames, film.size) == (3, (96, 64))


def test_the_folder_of_a_scene_is_as_good_as_its_file(render: Command, tmp_path: Path) -> None:
    assert render("--picture", "still", scene=tmp_path / "out").code == 0
    assert names_in(tmp_path / "pictures") == ["still.png"]


def test_only_the_pictures_that_were_asked_for_are_made(render: Command, tmp_path: Path) -> None:
    assert render("--picture", "depth", "--picture", "top-view").code == 0
    assert names_in(tmp_path / "pictures") == ["depth.png", "top-view.png"]


@pytest.mark.parametrize("kind", ["webp", "mp4"])
def test_the_film_has_the_format_that_was_asked_for(
    render: Command, tmp_path: Path, kind: str
) -> None:
    assert render("--picture", "turntable", "--film", kind).code == 0
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
    ],
)
def test_every_option_of_the_still_changes_it(
    render: Command, tmp_path: Path, options: tuple[object, ...]
) -> None:
    still = tmp_path / "pictures/still.png"
    render("--picture", "still")
    before = picture(still)
    assert render("--picture", "still", *options).code == 0
    assert (picture(still) != before).any()


def test_the_path_of_the_film_can_be_chosen(render: Command, tmp_path: Path) -> None:
    film = tmp_path / "pictures/turntable.gif"
    render("--picture", "turntable", "--path", "swing")
    before = film.read_bytes()
    assert render("--picture", "turntable", "--path", "orbit").code == 0
    assert film.read_bytes() != before


def test_pictures_that_were_finished_stay_when_a_later_one_is_interrupted(
    render: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(scene: object, path: Path, **options: object) -> None:
        path.write_bytes(b"half a film")
        raise KeyboardInterrupt

    monkeypatch.setattr("fast3r.cli.render.write_turntable", interrupted)
    assert render() == Outcome(130, "", "fast3r: interrupted\n")
    assert names_in(tmp_path / "pictures") == ["depth.png", "still.png", "top-view.png"]


def test_progress_is_on_stderr(fast3r: Command, tmp_path: Path) -> None:
    make_scene().save(tmp_path / "scene.npz")
    still = [*QUICK[:-1], "--picture", "still"]
    done = fast3r("render", tmp_path, "--output", tmp_path / "pictures", *still)
    assert (done.code, done.out) == (0, f"{tmp_path / 'pictures'}\n")
    assert "still: " in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--size", 0, 10), "sides of a picture must lie in [16, 8192] px, got 0x10"),
        (("--frames", 1), "a film has from 2 to 3000 frames, got 1"),
        (("--seconds", 0), "3 frames must last from 0.06 to 30 seconds, got 0"),
        (("--point-size", -1), "--point-size must be positive, got -1"),
        (("--point-size", "nan"), "--point-size must be positive, got nan"),
        (("--point-size", "inf"), "--point-size must be positive, got inf"),
        (("--min-conf-percentile", 101), "must lie in [0, 100], got 101"),
    ],
)
def test_what_makes_no_picture_is_refused_in_one_line(
    render: Command, tmp_path: Path, options: tuple[object, ...], words: str
) -> None:
    done = render(*options)
    assert_refused(done, words)
    assert done.err.count("\n") == 1
    assert not list(tmp_path.glob("pictures/*"))


def test_a_scene_without_cameras_says_why(render: Command, tmp_path: Path) -> None:
    without_cameras(make_scene(("landscape",)), 0).save(tmp_path / "lost.npz")
    refused = render(scene=tmp_path / "lost.npz")
    assert_refused(refused, "none of the 1 views has a camera", "too few sure points")


def test_a_scene_without_points_says_so(render: Command, tmp_path: Path) -> None:
    scene = make_scene(("landscape",))
    scene.depth[0][:] = 0
    scene.save(tmp_path / "empty.npz")
    assert_refused(render(scene=tmp_path / "empty.npz"), "no point is left to draw")


def test_what_is_no_scene_is_refused(render: Command, tmp_path: Path) -> None:
    (tmp_path / "scene.ply").write_bytes(b"ply")
    assert_refused(render(scene=tmp_path / "scene.ply"), "only .npz holds a whole scene")


def test_pictures_do_not_join_the_photos(render: Command, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    scene = make_scene(("landscape",))
    views = [replace(scene.views[0], source=folder / "IMG_0.jpg")]
    replace(scene, views=views).save(tmp_path / "beside.npz")
    refused = render(scene=tmp_path / "beside.npz")
    assert_refused(refused, f"pictures would join the photos in {folder}")


@pytest.mark.skipif(sys.platform != "linux", reason="displays are named so on Linux only")
def test_no_display_is_needed(tmp_path: Path) -> None:
    make_scene(("landscape",)).save(tmp_path / "scene.npz")
    bare = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "fast3r", "render", str(tmp_path), "--output", str(tmp_path)]
    options = ["--picture", "still", "--size", "64", "48", "--quiet"]
    subprocess.run([*command, *options], cwd=REPOSITORY, env=bare, check=True, capture_output=True)
    assert picture(tmp_path / "still.png").shape == (48, 64, 3)
