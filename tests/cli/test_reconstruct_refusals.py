"""What `fast3r reconstruct` refuses, leaves out, or is interrupted in."""

import errno
import signal
from pathlib import Path

import pytest
from PIL import Image

from fast3r.export import formats, ply
from fast3r.models.fast3r import Fast3R
from tests.commands import assert_refused
from tests.scene.playback import PlayedBack, predicted, save_photos


def test_a_missing_folder_is_refused(reconstruct, tmp_path) -> None:
    assert_refused(reconstruct(tmp_path / "nowhere", tmp_path / "out"), "nowhere")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_refused(reconstruct, tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    assert_refused(reconstruct(tmp_path / "photos", tmp_path / "out"), "photos")


def test_a_folder_without_photos_is_refused(reconstruct, tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/notes.txt").write_text("no photo")
    assert_refused(reconstruct(tmp_path / "photos", tmp_path / "out"), ".txt")


def test_naming_no_photos_is_refused(fast3r, tmp_path) -> None:
    assert_refused(fast3r("reconstruct", "--output", tmp_path / "out"), "no photos were named")


def test_photos_of_which_none_can_be_read_are_refused(reconstruct, photos, tmp_path) -> None:
    for photo in photos.iterdir():
        photo.write_bytes(photo.read_bytes()[:100])
    assert_refused(reconstruct(photos, tmp_path / "out", "--quiet"), "0.png")


def test_a_truncated_photo_is_left_out(reconstruct, photos, tmp_path, truths, monkeypatch) -> None:
    model = PlayedBack([predicted(truth) for truth in truths[:2]])
    monkeypatch.setattr("fast3r.cli.reconstruct.load_model", lambda name, **_: model)
    whole = (photos / "2.png").read_bytes()
    (photos / "2.png").write_bytes(whole[: len(whole) // 2])
    outcome = reconstruct(photos, tmp_path / "out")
    assert outcome.code == 0
    assert "2.png was not used: the file is cut short" in outcome.err


def test_a_photo_of_4_by_3000_pixels_is_left_out(reconstruct, photos, tmp_path) -> None:
    Image.new("RGB", (3000, 4)).save(photos / "narrow.png")
    outcome = reconstruct(photos, tmp_path / "out")
    assert outcome.code == 0
    assert "narrow.png was not used: 3000x4 px" in outcome.err


def test_a_broken_video_is_refused(reconstruct, photos, tmp_path) -> None:
    pytest.importorskip("av")
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42 and nothing more")
    outcome = reconstruct(tmp_path / "clip.mp4", tmp_path / "out", "--quiet")
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


def test_cuda_without_cuda_is_refused_with_a_way_out(
    reconstruct, photos, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.cuda", None)
    outcome = reconstruct(photos, tmp_path / "out", "--device", "cuda")
    assert_refused(outcome, "device must be one of auto, ", "cpu", "built without CUDA")


def test_a_format_whose_extra_is_missing_names_the_extra(
    reconstruct, photos, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda module: None)
    outcome = reconstruct(photos, tmp_path / "out", "--format", "html")
    assert_refused(outcome, "pip install 'fast3r[viewer]'")


def test_an_output_that_is_a_file_is_refused_before_the_work(reconstruct, photos, tmp_path) -> None:
    (tmp_path / "out").write_text("a file")
    outcome = reconstruct(photos, tmp_path / "out")
    assert_refused(outcome, f"cannot write to {tmp_path / 'out'}: ")


def test_an_output_without_permission_is_refused_before_the_work(
    reconstruct, photos, tmp_path, monkeypatch
) -> None:
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("fast3r.cli.reconstruct.load_model", None)
    outcome = reconstruct(photos, tmp_path / "out")
    assert_refused(outcome, f"cannot write to {tmp_path / 'out'}: permission denied")


@pytest.mark.parametrize(("format", "inside"), [("still", "photos"), ("depth", "depth")])
def test_pictures_are_not_written_among_the_photos(
    reconstruct, photos, format: str, inside: str
) -> None:
    place = photos.rename(photos.parent / inside)
    output = place if format == "still" else place.parent
    outcome = reconstruct(place, output, "--format", format)
    assert_refused(outcome, f"--format {format} would write pictures among the photos")
    assert sorted(path.name for path in place.iterdir()) == ["0.png", "1.png", "2.png"]


def test_a_report_that_cannot_be_written_names_the_folder(reconstruct, photos, tmp_path) -> None:
    (tmp_path / "out/report.json").mkdir(parents=True)
    outcome = reconstruct(photos, tmp_path / "out", "--quiet")
    assert_refused(outcome, f"cannot write to {tmp_path / 'out'}: is a directory")


def test_a_full_disk_names_the_folder_and_keeps_what_was_finished(
    reconstruct, photos, tmp_path, monkeypatch
) -> None:
    def fill(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ply, "write_points", fill)
    outcome = reconstruct(photos, tmp_path / "out", "--quiet")
    assert_refused(outcome, f"cannot write to {tmp_path / 'out'}: no space left on device")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cameras.json"]


def test_too_little_memory_says_what_to_reduce(reconstruct, photos, tmp_path, monkeypatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(Fast3R, "tokens", fail)
    outcome = reconstruct(photos, tmp_path / "out", "--quiet")
    assert_refused(outcome, "too small for 3 views of up to 96x72 px", "--num-frames", "--size")


def test_control_c_leaves_one_line_and_no_half_written_file(
    reconstruct, photos, tmp_path, monkeypatch
) -> None:
    def interrupt(cloud: object, path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(ply, "write_points", interrupt)
    outcome = reconstruct(photos, tmp_path / "out", "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "fast3r: interrupted\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cameras.json"]


def test_sigterm_leaves_no_half_written_file(reconstruct, photos, tmp_path, monkeypatch) -> None:
    def terminate(cloud: object, path: Path) -> None:
        path.write_text("half")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ply, "write_points", terminate)
    before = signal.getsignal(signal.SIGTERM)
    outcome = reconstruct(photos, tmp_path / "out", "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (143, "", "")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cameras.json"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_bug_keeps_its_traceback(reconstruct, photos, tmp_path, monkeypatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Fast3R, "tokens", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        reconstruct(photos, tmp_path / "out")


def test_a_module_missing_by_our_fault_keeps_its_traceback(fast3r, photos, monkeypatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ModuleNotFoundError("No module named 'gone'")

    monkeypatch.setattr("fast3r.cli.reconstruct.find_sources", fail)
    with pytest.raises(ModuleNotFoundError):
        fast3r("reconstruct", photos, "--output", photos.parent / "out")


def test_verbose_shows_the_traceback_of_a_refusal(reconstruct, tmp_path) -> None:
    outcome = reconstruct(tmp_path / "nowhere", tmp_path / "out", "--verbose")
    assert outcome.code == 2
    assert "Traceback" in outcome.err
