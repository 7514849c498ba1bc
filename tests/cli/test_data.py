"""The commands `fast3r data check`, `show` and `convert`."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast3r.data.checking import Finding
from fast3r.data.conversion import Converted
from tests.commands import Command, Outcome, assert_refused
from tests.datasets.preprocessed import SEGMENTS, write_waymo


@pytest.fixture
def data(fast3r: Command) -> Command:
    """Runs `fast3r data`."""
    return partial(fast3r, "data")


@pytest.fixture
def waymo(tmp_path: Path) -> Path:
    root = tmp_path / "waymo"
    root.mkdir()
    write_waymo(root)
    return root


# --- check -----------------------------------------------------------------------------------


def test_check_finds_nothing_in_a_whole_dataset(data, waymo) -> None:
    outcome = data("check", "waymo", waymo)
    assert (outcome.code, outcome.out) == (0, "")
    assert "6 frames of 2 scenes: 0 cannot be used" in outcome.err


def test_check_prints_a_line_for_each_broken_frame(data, waymo) -> None:
    photo = waymo / SEGMENTS[0] / "00001_1.jpg"
    photo.write_bytes(photo.read_bytes()[:200])
    (waymo / SEGMENTS[1] / "00000_1.exr").unlink()
    outcome = data("check", "waymo", waymo)
    assert outcome.code == 2
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert [line[:2] for line in lines] == [[SEGMENTS[0], "00001_1"], [SEGMENTS[1], "00000_1"]]
    assert lines[0][2].startswith(f"{photo}: ")
    assert lines[0][2].endswith("; expected a photo")
    assert "00000_1.exr: no such file" in lines[1][2]
    assert "6 frames of 2 scenes: 2 cannot be used" in outcome.err
    assert "Traceback" not in outcome.err


def test_check_can_read_a_sample(data, waymo) -> None:
    outcome = data("check", "waymo", waymo, "--frames", 1)
    assert outcome.code == 0
    assert "1 frames of 1 scenes: 0 cannot be used" in outcome.err


def test_check_reads_the_split_asked_for(data, waymo) -> None:
    assert "2 frames of 1 scenes" in data("check", "waymo", waymo, "--split", "val").err


def test_check_says_nothing_if_asked_to(data, waymo) -> None:
    assert data("check", "waymo", waymo, "--quiet") == Outcome(0, "", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["kitti", "{root}"], ["there is no dataset 'kitti'", "co3d", "waymo"]),
        (["procedural", "{root}"], ["there is no dataset 'procedural'"]),
        (["co3d", "{root}"], ["is not laid out as CO3Dv2", "waymo_pairs.npz"]),
        (["waymo", "{root}/lost"], ["there is no such folder"]),
        (["waymo", "{root}", "--split", "test"], ["'train' or 'val', got 'test'"]),
        (["waymo", "{root}", "--frames", "0"], ["--frames must be at least 1, got 0"]),
        (["waymo", "{root}", "--threads", "0"], ["--threads must be at least 1, got 0"]),
        (["waymo", "{root}", "--seed", "-1"], ["--seed must be at least 0, got -1"]),
    ],
)
def test_check_refuses(data, waymo, arguments: list[str], words: list[str]) -> None:
    assert_refused(data("check", *(part.format(root=waymo) for part in arguments)), *words)


def test_an_interrupted_check_prints_what_it_found(data, waymo, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> Iterator[Finding]:
        yield Finding("a", "00000_1", "a/00000_1.jpg: cut short", 0)
        raise KeyboardInterrupt

    monkeypatch.setattr("fast3r.cli.data.check_dataset", interrupted)
    outcome = data("check", "waymo", waymo)
    assert (outcome.code, outcome.out) == (130, "a\t00000_1\ta/00000_1.jpg: cut short\n")
    assert outcome.err == "fast3r: interrupted\n"


# --- show ------------------------------------------------------------------------------------


def test_show_draws_a_row_for_each_sample(data, waymo, tmp_path) -> None:
    sizes = []
    for samples in (1, 3):
        sheet = tmp_path / f"{samples}.png"
        outcome = data("show", "waymo", waymo, "--output", sheet, "--samples", samples)
        assert (outcome.code, outcome.out) == (0, f"{sheet}\n")
        with Image.open(sheet) as picture:
            sizes.append(picture.size)
    assert sizes[1] == (sizes[0][0], 3 * sizes[0][1])


def test_show_draws_procedural_scenes(data, tmp_path) -> None:
    sheet = tmp_path / "new/scenes.png"
    outcome = data("show", "procedural", "--samples", 1, "--views", 2, "--output", sheet)
    assert (outcome.code, outcome.out) == (0, f"{sheet}\n")
    with Image.open(sheet) as picture:
        assert len(picture.convert("L").getcolors()) > 100


def test_the_seed_decides_what_is_shown(data, waymo, tmp_path) -> None:
    def shown(seed: int) -> bytes:
        sheet = tmp_path / "sheet.png"
        data("show", "waymo", waymo, "--output", sheet, "--seed", seed)
        return sheet.read_bytes()

    assert shown(0) == shown(0)
    assert shown(0) != shown(1)


def test_show_takes_another_scene_for_a_broken_one(data, waymo, tmp_path) -> None:
    for path in (waymo / SEGMENTS[0]).glob("*.jpg"):
        path.unlink()
    sheet = tmp_path / "sheet.png"
    outcome = data("show", "waymo", waymo, "--output", sheet, "--samples", 8)
    assert outcome.code == 0
    assert "left out: " in outcome.err
    assert "no such file" in outcome.err


def test_show_gives_up_where_everything_is_broken(data, waymo, tmp_path) -> None:
    for path in waymo.glob("*/*.jpg"):
        path.unlink()
    outcome = data("show", "waymo", waymo, "--output", tmp_path / "sheet.png")
    assert_refused(outcome, "nothing could be used in 20 draws; the last: ", "no such file")
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["waymo"], ["name the folder of the dataset: fast3r data show waymo ROOT"]),
        (["procedural", "{root}"], ["procedural scenes have neither ROOT nor --split"]),
        (["procedural", "--split", "val"], ["procedural scenes have neither ROOT nor --split"]),
        (["kitti", "{root}"], ["there is no dataset 'kitti'", "procedural"]),
        (["waymo", "{root}", "--samples", "0"], ["must be at least 1, got 0 and 6"]),
        (["waymo", "{root}", "--views", "0"], ["must be at least 1, got 4 and 0"]),
        (["waymo", "{root}", "--output", "sheet.html"], ["--output must end like a picture"]),
        (["waymo", "{root}", "--output", "{root}"], ["--output must end like a picture"]),
        (["waymo", "{root}", "--output", "/proc/sheet.png"], ["cannot write to /proc"]),
    ],
)
def test_show_refuses(data, waymo, tmp_path, arguments: list[str], words: list[str]) -> None:
    filled = [part.format(root=waymo) for part in arguments]
    if "--output" not in filled:
        filled += ["--output", str(tmp_path / "sheet.png")]
    assert_refused(data("show", *filled), *words)


# --- convert ---------------------------------------------------------------------------------


@pytest.fixture
def transforms(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 48), (200, 90, 20)).save(tmp_path / "0.png")
    frame = {"file_path": "0.png", "transform_matrix": np.eye(4).tolist()}
    path = tmp_path / "transforms.json"
    path.write_text(json.dumps({"fl_x": 50, "w": 64, "h": 48, "frames": [frame]}))
    return path


def test_convert_makes_a_folder_that_can_be_checked(data, transforms, tmp_path) -> None:
    scene = tmp_path / "mine/scan"
    outcome = data("convert", transforms, scene)
    assert (outcome.code, outcome.out) == (0, f"{scene}\n")
    assert "1 photos, 0 of them with depth" in outcome.err
    found = data("check", "posed_rgbd", scene)
    assert "1 frames of 1 scenes" in found.err


def test_convert_hands_a_colmap_model_its_photos_and_depth(data, tmp_path, monkeypatch) -> None:
    calls = []

    def convert(*places: Path, **options: object) -> Converted:
        calls.append((places, options))
        return Converted(3, 2)

    monkeypatch.setattr("fast3r.cli.data.convert_colmap", convert)
    options = ("--photos", "images", "--depth", "stereo/depth_maps", "--depth-scale", 0.01)
    assert data("convert", "sparse", "out", *options).code == 0
    places = (Path("sparse"), Path("images"), Path("out"))
    assert calls == [(places, {"depth": Path("stereo/depth_maps"), "depth_scale": 0.01})]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sparse", "out"], ["add --photos DIR"]),
        (["lost/transforms.json", "out"], ["lost/transforms.json: no such file"]),
        (["{transforms}", "out", "--photos", "x"], ["leave out --photos and --depth"]),
        (["{transforms}", "out", "--depth-scale", "0"], ["--depth-scale must be above 0, got 0"]),
        (["{transforms}", "{folder}"], ["holds something already"]),
    ],
)
def test_convert_refuses(data, transforms, arguments: list[str], words: list[str]) -> None:
    places = {"transforms": transforms, "folder": transforms.parent}
    assert_refused(data("convert", *(part.format(**places) for part in arguments)), *words)


# --- help ------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["check", "show", "convert"])
def test_help_of_every_action_shows_an_example(data, action: str) -> None:
    outcome = data(action, "--help")
    assert outcome.code == 0
    assert f"\n  fast3r data {action} " in outcome.out


def test_help_lists_every_action(data) -> None:
    outcome = data("--help")
    assert outcome.code == 0
    for words in ("• check ", "• show ", "• convert ", "\n  fast3r data check"):
        assert words in outcome.out


@pytest.mark.parametrize("arguments", [[], ["chek"], ["--bogus"], ["check"], ["check", "waymo"]])
def test_what_is_no_action_is_refused(data, arguments: list[str]) -> None:
    outcome = data(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "fast3r data" in outcome.err
    assert "--help" in outcome.err
