"""The command line: what it writes, prints and refuses."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from fast3r import __version__
from fast3r.export import formats, ply
from fast3r.export.formats import FORMATS, load
from fast3r.models.checkpoints import save_model
from fast3r.models.fast3r import Fast3R
from fast3r.scene.machine import EXTRAS
from tests.commands import Outcome, run_command
from tests.scene.playback import (
    SIZE,
    PlayedBack,
    Truth,
    a_random_model,
    a_view,
    predicted,
    save_photos,
)

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def fast3r(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Runs a command line in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    return partial(run_command, capfd)


@pytest.fixture
def truths() -> list[Truth]:
    return [a_view(seed, 480, 640, 560.0) for seed in range(3)]


@pytest.fixture
def photos(tmp_path: Path, truths: list[Truth], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos on disk, and a network that sees the truth in them."""
    save_photos(truths, tmp_path / "photos")
    play_back(truths, monkeypatch)
    return tmp_path / "photos"


def play_back(truths: Sequence[Truth], monkeypatch: pytest.MonkeyPatch) -> None:
    model = PlayedBack([predicted(truth) for truth in truths])
    monkeypatch.setattr("fast3r.cli.reconstruct.load_model", lambda name, **_: model)


@pytest.fixture
def random_weights(tmp_path: Path) -> Path:
    """A folder with a network that has learned nothing."""
    save_model(a_random_model(), tmp_path / "weights")
    return tmp_path / "weights"


def assert_refused(outcome: Outcome, *words: str) -> None:
    """Check that the user was told, once and without a traceback, and scripts were not."""
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert outcome.err.count("fast3r: ") == 1
    for word in words:
        assert word in outcome.err


def reconstruct(fast3r, photos: object, output: Path, *options: object) -> Outcome:
    return fast3r("reconstruct", photos, "--output", output, *options)


# --- reconstruct -----------------------------------------------------------------------------


def test_reconstruct_writes_cameras_points_and_report(fast3r, photos, tmp_path) -> None:
    outcome = reconstruct(fast3r, photos, tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cameras.json",
        "report.json",
        "scene.ply",
    ]


@pytest.mark.parametrize("options", [[], ["--keep-world"]])
def test_the_world_pointmaps_are_kept_when_asked_for(fast3r, photos, tmp_path, options) -> None:
    reconstruct(fast3r, photos, tmp_path, "--format", "npz", *options)
    kept = load(tmp_path / "scene.npz").world_pointmaps
    assert (kept is not None) == bool(options)


def test_stdout_is_the_output_folder_and_nothing_else(fast3r, photos, tmp_path) -> None:
    assert reconstruct(fast3r, photos, tmp_path / "out").out == f"{tmp_path / 'out'}\n"


def test_cameras_are_in_pixels_of_the_original_photos(fast3r, photos, tmp_path, truths) -> None:
    reconstruct(fast3r, photos, tmp_path / "out")
    written = json.loads((tmp_path / "out/cameras.json").read_text())
    assert written["version"] == 1
    assert written["scale"] == "arbitrary"
    assert [view["name"] for view in written["views"]] == ["0.png", "1.png", "2.png"]
    for view, truth in zip(written["views"], truths, strict=True):
        assert (view["width"], view["height"], view["registered"]) == (640, 480, True)
        (fx, _, cx), (_, fy, cy), _ = view["intrinsics"]
        assert [fx, fy, cx, cy] == pytest.approx([560, 560, 320, 240], rel=0.005)
        for row, true_row in zip(view["world_from_camera"], truth.world_from_camera, strict=True):
            assert row == pytest.approx(true_row.tolist(), abs=1e-3)


def test_points_lie_on_the_surface(fast3r, photos, tmp_path) -> None:
    reconstruct(fast3r, photos, tmp_path / "out", "--min-conf-percentile", 0)
    points = ply.read_points(tmp_path / "out/scene.ply")
    assert len(points.points) > 0.9 * 3 * 72 * 96
    assert points.colors is not None
    assert points.colors[0].tolist() == [0, 90, 200]


def test_min_conf_percentile_leaves_points_out(fast3r, photos, tmp_path) -> None:
    sizes = []
    for percentile in (0, 50):
        reconstruct(fast3r, photos, tmp_path / "out", "--min-conf-percentile", percentile)
        sizes.append(len(ply.read_points(tmp_path / "out/scene.ply").points))
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.02)


def test_the_report_tells_how_the_scene_was_made(fast3r, photos, tmp_path) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    reconstruct(fast3r, photos, tmp_path / "out", "--seed", 3)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["versions"]["fast3r"] == __version__
    assert report["versions"]["torch"]
    assert report["model"] == "small"
    assert re.fullmatch("[0-9a-f]{16}", report["model_hash"])
    assert report["device"].startswith("cpu")
    assert report["precision"] == "float32"
    assert report["seed"] == 3
    assert report["options"]["share_focal"] == "camera"
    assert report["views"] == {"used": 3, "registered": 3, "left_out": 1}
    assert report["left_out"][0]["name"] == "broken.jpg"
    assert report["left_out"][0]["reason"]
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert list(stages) == [
        "load model",
        "load photos",
        "encoder and fusion",
        "pointmaps",
        "cameras",
        "write files",
    ]
    assert all(stage["seconds"] >= 0 for stage in stages.values())
    assert all(stage["host_peak_gib"] > 0.01 for stage in stages.values())


def test_a_photo_left_out_is_named_on_the_screen(fast3r, photos, tmp_path) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    assert "broken.jpg was not used: " in reconstruct(fast3r, photos, tmp_path / "out").err


def test_progress_is_told_on_stderr(fast3r, photos, tmp_path) -> None:
    assert "pointmaps: " in reconstruct(fast3r, photos, tmp_path / "out").err


def test_quiet_says_nothing(fast3r, photos, tmp_path) -> None:
    assert reconstruct(fast3r, photos, tmp_path / "out", "--quiet").err == ""


@pytest.mark.parametrize(
    "options", [["--format", "transforms", "--format", "npz"], ["--format", "transforms,npz"]]
)
def test_more_formats_can_be_asked_for(fast3r, photos, tmp_path, options: list[str]) -> None:
    assert reconstruct(fast3r, photos, tmp_path / "out", *options).code == 0
    assert (tmp_path / "out/transforms.json").is_file()
    assert len(load(tmp_path / "out/scene.npz").registered) == 3


def test_size_is_what_the_network_sees(fast3r, tmp_path, truths, random_weights) -> None:
    save_photos(truths, tmp_path / "photos")
    options = ("--model", random_weights, "--size", SIZE // 2, "--quiet")
    reconstruct(fast3r, tmp_path / "photos", tmp_path / "out", *options)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["options"]["size"] == SIZE // 2
    # The threshold is a share of the long side: half of what it is at the model's own size.
    assert "within 2.2 px" in report["unregistered"][0]["reason"]


def test_photos_can_be_named_one_by_one(fast3r, photos, tmp_path) -> None:
    named = [photos / f"{index}.png" for index in range(3)]
    outcome = fast3r("reconstruct", *named, "--output", tmp_path / "out")
    assert outcome.code == 0, outcome.err


def test_a_view_without_a_place_is_named_and_the_rest_is_written(
    fast3r, photos, tmp_path, truths, monkeypatch
) -> None:
    from tests.scene.playback import nonsense

    predictions = [predicted(truths[0]), nonsense(truths[1].view), predicted(truths[2])]
    model = PlayedBack(predictions)
    monkeypatch.setattr("fast3r.cli.reconstruct.load_model", lambda name, **_: model)
    outcome = reconstruct(fast3r, photos, tmp_path / "out")
    assert outcome.code == 0
    assert "1.png found no place: no pose fits its points" in outcome.err
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["views"] == {"used": 3, "registered": 2, "left_out": 0}
    assert [view["name"] for view in report["unregistered"]] == ["1.png"]


def test_where_no_view_finds_its_place_only_cameras_and_report_are_written(
    fast3r, tmp_path, truths, random_weights
) -> None:
    save_photos(truths, tmp_path / "photos")
    outcome = reconstruct(
        fast3r, tmp_path / "photos", tmp_path / "out", "--model", random_weights, "--quiet"
    )
    assert_refused(outcome, "none of the 3 views has a camera", "0.png")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cameras.json",
        "report.json",
    ]
    written = json.loads((tmp_path / "out/cameras.json").read_text())
    assert [view["registered"] for view in written["views"]] == [False] * 3
    assert written["views"][0]["intrinsics"] is None


def test_nothing_of_an_earlier_run_stays(fast3r, photos, tmp_path, random_weights) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").touch()
    reconstruct(fast3r, photos, tmp_path / "out", "--format", "npz,depth,transforms")
    load_random = lambda name, **_: Fast3R.from_pretrained(random_weights)  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fast3r.cli.reconstruct.load_model", load_random)
        assert reconstruct(fast3r, photos, tmp_path / "out").code == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cameras.json",
        "notes.txt",
        "report.json",
    ]


def test_the_report_names_the_other_files(fast3r, photos, tmp_path) -> None:
    reconstruct(fast3r, photos, tmp_path / "out", "--format", "npz")
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["files"] == ["cameras.json", "scene.ply", "scene.npz"]


def test_a_format_that_cannot_hold_the_scene_does_not_keep_others_from_being_written(
    fast3r, photos, tmp_path
) -> None:
    (photos / "0.png").rename(photos / "0 0.png")
    outcome = reconstruct(fast3r, photos, tmp_path / "out", "--format", "colmap-text,npz")
    assert_refused(outcome, "colmap-text was not written: ", "'0 0.png'")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cameras.json",
        "report.json",
        "scene.npz",
        "scene.ply",
    ]


def test_names_cannot_write_on_the_screen(fast3r, photos, tmp_path) -> None:
    (photos / "\x1b[31m\n.jpg").write_bytes(b"no photo")
    outcome = reconstruct(fast3r, photos, tmp_path / "out")
    assert r"\x1b[31m\n.jpg was not used" in outcome.err


# --- what reconstruct refuses ----------------------------------------------------------------


def test_a_missing_folder_is_refused(fast3r, tmp_path) -> None:
    assert_refused(reconstruct(fast3r, tmp_path / "nowhere", tmp_path / "out"), "nowhere")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_refused(fast3r, tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    assert_refused(reconstruct(fast3r, tmp_path / "photos", tmp_path / "out"), "photos")


def test_a_folder_without_photos_is_refused(fast3r, tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/notes.txt").write_text("no photo")
    assert_refused(reconstruct(fast3r, tmp_path / "photos", tmp_path / "out"), ".txt")


def test_naming_no_photos_is_refused(fast3r, tmp_path) -> None:
    assert_refused(fast3r("reconstruct", "--output", tmp_path / "out"), "no photos were named")


def test_photos_of_which_none_can_be_read_are_refused(fast3r, photos, tmp_path) -> None:
    for photo in photos.iterdir():
        photo.write_bytes(photo.read_bytes()[:100])
    assert_refused(reconstruct(fast3r, photos, tmp_path / "out", "--quiet"), "0.png")


def test_a_truncated_photo_is_left_out(fast3r, photos, tmp_path, truths, monkeypatch) -> None:
    play_back(truths[:2], monkeypatch)
    whole = (photos / "2.png").read_bytes()
    (photos / "2.png").write_bytes(whole[: len(whole) // 2])
    outcome = reconstruct(fast3r, photos, tmp_path / "out")
    assert outcome.code == 0
    assert "2.png was not used: the file is cut short" in outcome.err


def test_a_photo_of_4_by_3000_pixels_is_left_out(fast3r, photos, tmp_path) -> None:
    Image.new("RGB", (3000, 4)).save(photos / "narrow.png")
    outcome = reconstruct(fast3r, photos, tmp_path / "out")
    assert outcome.code == 0
    assert "narrow.png was not used: 3000x4 px" in outcome.err


def test_a_broken_video_is_refused(fast3r, photos, tmp_path) -> None:
    pytest.importorskip("av")
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42 and nothing more")
    outcome = reconstruct(fast3r, tmp_path / "clip.mp4", tmp_path / "out", "--quiet")
    assert_refused(outcome, "clip.mp4")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "medium"], ["medium", "small", "large"]),
        (["--format", "obj"], ["'obj'", "known are", "colmap", "glb"]),
        (["--format", ""], ["''", "known are"]),
        (["--device", "nan"], ["'nan'", "cpu"]),
        (["--device", "gpu"], ["'gpu'", "cpu"]),
        (["--device", "cuda:99"], ["cuda:99"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--seed", str(2**64)], ["--seed", str(2**64)]),
        (["--size", "100"], ["100", "8"]),
        (["--size", "-8"], ["-8"]),
        (["--size", "0"], ["0"]),
        (["--fps", "2"], ["video"]),
        (["--masks", "nowhere"], ["nowhere"]),
        (["--min-conf-percentile", "101"], ["--min-conf-percentile", "101"]),
        (["--min-conf-percentile", "nan"], ["--min-conf-percentile", "nan"]),
    ],
)
def test_bad_options_are_refused(
    fast3r, tmp_path, truths, random_weights, options: list[str], words: list[str]
) -> None:
    save_photos(truths, tmp_path / "photos")
    outcome = fast3r(
        "reconstruct",
        tmp_path / "photos",
        *("--output", tmp_path / "out", "--quiet"),
        *(() if "--model" in options else ("--model", random_weights)),
        *options,
    )
    assert_refused(outcome, *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "x"], "--seed"),
        (["--share-focal", "some"], "'camera', 'all', 'none'"),
        (["--precision", "int8"], "float32"),
        (["--bogus", "3"], "--bogus"),
    ],
)
def test_options_of_the_wrong_kind_are_refused(fast3r, options: list[str], words: str) -> None:
    outcome = fast3r("reconstruct", "photos", "--output", "out", *options)
    assert outcome.code == 2
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_cuda_without_cuda_is_refused_with_a_way_out(fast3r, photos, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.cuda", None)
    outcome = reconstruct(fast3r, photos, tmp_path / "out", "--device", "cuda")
    assert_refused(outcome, "device must be one of auto, ", "cpu", "built without CUDA")


def test_a_format_whose_extra_is_missing_names_the_extra(
    fast3r, photos, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda module: None)
    outcome = reconstruct(fast3r, photos, tmp_path / "out", "--format", "html")
    assert_refused(outcome, "pip install 'fast3r[viewer]'")


def test_an_output_that_is_a_file_is_refused_before_the_work(fast3r, photos, tmp_path) -> None:
    (tmp_path / "out").write_text("a file")
    outcome = reconstruct(fast3r, photos, tmp_path / "out")
    assert_refused(outcome, f"cannot write to {tmp_path / 'out'}: ")


def test_an_output_without_permission_is_refused_before_the_work(
    fast3r, photos, tmp_path, monkeypatch
) -> None:
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("fast3r.cli.reconstruct.load_model", None)
    outcome = reconstruct(fast3r, photos, tmp_path / "out")
    assert_refused(outcome, f"cannot write to {tmp_path / 'out'}: permission denied")


@pytest.mark.parametrize(("format", "inside"), [("still", "photos"), ("depth", "depth")])
def test_pictures_are_not_written_among_the_photos(
    fast3r, photos, format: str, inside: str
) -> None:
    place = photos.rename(photos.parent / inside)
    output = place if format == "still" else place.parent
    outcome = reconstruct(fast3r, place, output, "--format", format)
    assert_refused(outcome, f"--format {format} would write pictures among the photos")
    assert sorted(path.name for path in place.iterdir()) == ["0.png", "1.png", "2.png"]


def test_a_report_that_cannot_be_written_names_the_folder(fast3r, photos, tmp_path) -> None:
    (tmp_path / "out/report.json").mkdir(parents=True)
    outcome = reconstruct(fast3r, photos, tmp_path / "out", "--quiet")
    assert_refused(outcome, f"cannot write to {tmp_path / 'out'}: is a directory")


def test_a_full_disk_names_the_folder_and_keeps_what_was_finished(
    fast3r, photos, tmp_path, monkeypatch
) -> None:
    def fill(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ply, "write_points", fill)
    outcome = reconstruct(fast3r, photos, tmp_path / "out", "--quiet")
    assert_refused(outcome, f"cannot write to {tmp_path / 'out'}: no space left on device")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cameras.json"]


def test_too_little_memory_says_what_to_reduce(fast3r, photos, tmp_path, monkeypatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(Fast3R, "tokens", fail)
    outcome = reconstruct(fast3r, photos, tmp_path / "out", "--quiet")
    assert_refused(outcome, "too small for 3 views of up to 96x72 px", "--num-frames", "--size")


def test_control_c_leaves_one_line_and_no_half_written_file(
    fast3r, photos, tmp_path, monkeypatch
) -> None:
    def interrupt(cloud: object, path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(ply, "write_points", interrupt)
    outcome = reconstruct(fast3r, photos, tmp_path / "out", "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "fast3r: interrupted\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cameras.json"]


def test_sigterm_leaves_no_half_written_file(fast3r, photos, tmp_path, monkeypatch) -> None:
    def terminate(cloud: object, path: Path) -> None:
        path.write_text("half")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ply, "write_points", terminate)
    before = signal.getsignal(signal.SIGTERM)
    outcome = reconstruct(fast3r, photos, tmp_path / "out", "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (143, "", "")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cameras.json"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_bug_keeps_its_traceback(fast3r, photos, tmp_path, monkeypatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Fast3R, "tokens", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        reconstruct(fast3r, photos, tmp_path / "out")


def test_a_module_missing_by_our_fault_keeps_its_traceback(fast3r, photos, monkeypatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ModuleNotFoundError("No module named 'gone'")

    monkeypatch.setattr("fast3r.cli.reconstruct.find_sources", fail)
    with pytest.raises(ModuleNotFoundError):
        fast3r("reconstruct", photos, "--output", photos.parent / "out")


def test_verbose_shows_the_traceback_of_a_refusal(fast3r, tmp_path) -> None:
    outcome = reconstruct(fast3r, tmp_path / "nowhere", tmp_path / "out", "--verbose")
    assert outcome.code == 2
    assert "Traceback" in outcome.err


# --- export ----------------------------------------------------------------------------------


@pytest.fixture
def saved(fast3r, photos, tmp_path) -> Path:
    reconstruct(fast3r, photos, tmp_path / "saved", "--format", "npz", "--quiet")
    return tmp_path / "saved"


@pytest.mark.parametrize("place", ["", "scene.npz"])
def test_export_writes_a_saved_scene_in_other_formats(fast3r, saved, tmp_path, place: str) -> None:
    outcome = fast3r("export", saved / place, "--output", tmp_path / "web", "--format", "glb")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'web'}\n")
    assert [path.name for path in (tmp_path / "web").iterdir()] == ["scene.glb"]


def test_export_writes_the_same_files_as_reconstruct(fast3r, saved, tmp_path) -> None:
    fast3r("export", saved, "--output", tmp_path / "again", "--format", "ply,cameras")
    for name in ("scene.ply", "cameras.json"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


@pytest.mark.parametrize(
    ("scene", "options", "words"),
    [
        ("nowhere/scene.npz", ["--format", "ply"], ["scene.npz", "no such file"]),
        ("photos", ["--format", "ply"], ["scene.npz", "no such file"]),
        ("photos/0.png", ["--format", "ply"], ["only .npz", "0.png"]),
        ("saved", [], ["no format was named", "--format colmap"]),
        ("saved", ["--format", "obj"], ["'obj'", "known are"]),
        ("saved", ["--format", "ply", "--min-conf-percentile", "-1"], ["[0, 100]", "-1"]),
    ],
)
def test_export_refuses(
    fast3r, saved, tmp_path, scene: str, options: list[str], words: list[str]
) -> None:
    outcome = fast3r("export", tmp_path / scene, "--output", tmp_path / "web", "--quiet", *options)
    assert_refused(outcome, *words)


# --- convert ---------------------------------------------------------------------------------


def test_convert_writes_weights_that_load_again(fast3r, random_weights, tmp_path) -> None:
    published, ours = tmp_path / "published", tmp_path / "ours.safetensors"
    outcome = fast3r("convert", random_weights, published, "--format", "published")
    assert (outcome.code, outcome.out) == (0, f"{published}\n")
    assert fast3r("convert", published, ours).code == 0
    again, before = Fast3R.from_pretrained(ours), Fast3R.from_pretrained(random_weights)
    for name, weight in before.state_dict().items():
        assert weight.equal(again.state_dict()[name].to(weight.device))


def test_convert_refuses_weights_that_are_not_there(fast3r, tmp_path) -> None:
    outcome = fast3r("convert", "medium", tmp_path / "weights")
    assert_refused(outcome, "medium", "small, large")


# --- doctor ----------------------------------------------------------------------------------


def test_doctor_tells_what_there_is(fast3r) -> None:
    outcome = fast3r("doctor")
    assert outcome.code == 0
    for word in (f"fast3r {__version__}", "torch ", "cpu: ", "GiB", "in one pass", "small: about "):
        assert word in outcome.out


def test_doctor_tells_how_to_install_what_is_missing(fast3r, monkeypatch) -> None:
    monkeypatch.setattr("fast3r.scene.machine.find_spec", lambda module: None)
    assert "missing: viser: pip install 'fast3r[viewer]'" in fast3r("doctor").out


def test_doctor_knows_every_extra_of_the_package() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    section = re.search(r"\[project.optional-dependencies\]\n(.*?)\n\n", text, re.DOTALL)
    assert section is not None
    names = re.findall(r"^(\w+) =", section[1], re.MULTILINE)
    assert sorted(EXTRAS) == sorted(set(names) - {"all"})


# --- help, and the program itself ------------------------------------------------------------


@pytest.mark.parametrize("command", ["reconstruct", "export", "convert", "doctor"])
def test_help_of_every_command_shows_an_example(fast3r, command: str) -> None:
    outcome = fast3r(command, "--help")
    assert outcome.code == 0
    assert f"\n  fast3r {command}" in outcome.out


def test_help_lists_every_command_with_an_example(fast3r) -> None:
    outcome = fast3r("--help")
    assert outcome.code == 0
    assert "fast3r reconstruct photos/ --output out" in outcome.out
    for command in ("reconstruct", "export", "convert", "doctor"):
        assert f"• {command} " in outcome.out


def test_help_names_every_format(fast3r) -> None:
    outcome = fast3r("export", "--help")
    words = set(re.findall(r"[\w-]+", outcome.out))
    assert set(FORMATS) - {"cameras"} <= words


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["--bogus"], ["reconstruct"]])
def test_what_is_no_command_is_refused(fast3r, arguments: list[str]) -> None:
    outcome = fast3r(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "fast3r" in outcome.err
    assert "--help" in outcome.err


def test_version(fast3r) -> None:
    assert fast3r("--version").out == f"fast3r {__version__}\n"


def test_the_program_runs_as_a_module(tmp_path) -> None:
    command = [sys.executable, "-m", "fast3r", "reconstruct", "nowhere", "--output", "out"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}
    )
    assert_refused(Outcome(done.returncode, done.stdout, done.stderr), "nowhere")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["doctor"]])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path, arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "fast3r", *arguments]
    environment = {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, cwd=tmp_path, env=environment
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_printed_is_an_error(tmp_path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fast3r", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={"PYTHONPATH": str(REPOSITORY)},
        )
    assert done.stderr.startswith(b"fast3r: cannot print: no space left on device")
    assert done.returncode == 2
