"""One job in the worker: what it writes, what it calls things, and how it fails."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast3r.export.formats import load
from fast3r.scene.stages import Watcher
from fast3r.serve.messages import JobOptions
from fast3r.serve.naming import harmless_names, storage_name
from fast3r.serve.upload import requested_formats
from fast3r.serve.wire import Done, Order, Upload
from fast3r.serve.work import STAGES, Desk, share_done, work
from tests.scene.playback import PlayedBack, a_random_model, a_view, nonsense, predicted

TRUTHS = [a_view(seed, 480, 640, 560.0) for seed in range(3)]


@pytest.fixture
def desk() -> Desk:
    """A network that sees the truth in three photos."""
    return Desk.furnished(PlayedBack([predicted(t) for t in TRUTHS]), "played back", "auto")


def photo(grey: int = 0, height: int = 480, width: int = 640, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    Image.new("RGB", (width, height), (grey, 90, 200)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """Return a file of a hundred bytes that claims to be a very large picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def clip(num_frames: int) -> bytes:
    import av

    file = io.BytesIO()
    noise = np.random.default_rng(0)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 96, 64
        for _ in range(num_frames):
            pixels = noise.integers(0, 256, (64, 96, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())
    return file.getvalue()


def order(
    home: Path,
    files: dict[str, bytes],
    *,
    max_views: int = 50,
    formats: Sequence[str] = ("ply",),
    **options,
) -> Order:
    """Return the order of a submission, and lay out its uploads."""
    folder = home / "input"
    folder.mkdir()
    names = harmless_names(list(files))
    uploads = []
    for number, (name, content) in enumerate(zip(names, files.values(), strict=True)):
        uploads.append(Upload(name=name, file=storage_name(number, name)))
        (folder / uploads[-1].file).write_bytes(content)
    return Order(
        input_folder=folder,
        result_folder=home / "results",
        uploads=uploads,
        options=JobOptions(formats=requested_formats(formats), **options),
        max_views=max_views,
        max_pixels=10_000_000,
    )


def three_photos() -> dict[str, bytes]:
    return {f"IMG {i}.jpg": photo(40 * i) for i in range(3)}


def error_of(done: Done, kind: str) -> str:
    assert done.error is not None
    assert done.error.kind == kind
    return done.error.message


def test_views_are_called_as_the_client_called_its_photos(desk: Desk, tmp_path: Path) -> None:
    done = work(order(tmp_path, three_photos()), desk, Watcher())
    assert done.error is None
    assert done.results == {
        "report": "report.json",
        "cameras": "cameras.json",
        "ply": "scene.ply",
    }
    written = json.loads((tmp_path / "results/cameras.json").read_text())
    assert [view["name"] for view in written["views"]] == ["IMG 0.jpg", "IMG 1.jpg", "IMG 2.jpg"]
    assert written["views"][0]["width"] == 640


def test_no_result_tells_where_the_service_keeps_things(desk: Desk, tmp_path: Path) -> None:
    files = {**three_photos(), "broken.jpg": b"\xff\xd8\xff\xe0 no", "broken.mp4": b"no"}
    done = work(order(tmp_path, files, formats=["npz", "transforms"]), desk, Watcher())
    assert [left.name for left in done.outcome.left_out] == ["broken.jpg", "broken.mp4"]
    told = done.model_dump_json() + "".join(
        (tmp_path / "results" / name).read_text()
        for name in ("report.json", "cameras.json", "transforms.json")
    )
    assert str(tmp_path) not in told
    scene = load(tmp_path / "results/scene.npz")
    assert all(view.source is None for view in scene.views)


def test_folders_come_as_zip_files(desk: Desk, tmp_path: Path) -> None:
    done = work(order(tmp_path, three_photos(), formats=["depth,colmap"]), desk, Watcher())
    assert done.results["depth"] == "depth.zip"
    assert done.results["colmap"] == "colmap.zip"
    names = zipfile.ZipFile(tmp_path / "results/depth.zip").namelist()
    assert "depth/IMG 0.npz" in names
    names = zipfile.ZipFile(tmp_path / "results/colmap.zip").namelist()
    assert "colmap/sparse/0/images.bin" in names
    assert not (tmp_path / "results/depth").exists()


def test_every_format_can_be_asked_for(desk: Desk, tmp_path: Path) -> None:
    wanted = order(tmp_path, three_photos(), formats=["all"])
    done = work(wanted, desk, Watcher())
    assert done.problems == []
    assert set(done.results) == {"report", *wanted.options.formats}
    assert {"ply", "glb", "npz", "html", "still", "laz"} <= set(done.results)
    for name in done.results.values():
        assert (tmp_path / "results" / name).stat().st_size > 0


def test_photos_stand_upright(desk: Desk, tmp_path: Path) -> None:
    files = {f"{i}.jpg": photo(height=640, width=480, orientation=6) for i in range(3)}
    work(order(tmp_path, files), desk, Watcher())
    written = json.loads((tmp_path / "results/cameras.json").read_text())
    assert (written["views"][0]["width"], written["views"][0]["height"]) == (640, 480)


def test_frames_are_called_after_the_client_s_video(tmp_path: Path) -> None:
    desk = Desk.furnished(a_random_model(), "random", "auto")
    files = {"a.jpg": photo(), "my walk.mp4": clip(20), "my walk.mov": clip(20)}
    done = work(order(tmp_path, files, num_frames=3), desk, Watcher())
    assert done.outcome.used == 7
    written = json.loads((tmp_path / "results/cameras.json").read_text())
    names = [view["name"] for view in written["views"]]
    assert names[0] == "a.jpg"
    assert all(name.startswith("my walk/frame_0000") for name in names[1:4])
    assert all(name.startswith("my walk-2/frame_0000") for name in names[4:])


@pytest.mark.parametrize("side", [4000, 60_000])
def test_a_photo_of_too_many_pixels_is_left_out_undecoded(
    desk: Desk, tmp_path: Path, side: int
) -> None:
    files = {**three_photos(), "bomb.png": huge_png(side, side)}
    done = work(order(tmp_path, files), desk, Watcher())
    assert done.error is None
    (left,) = done.outcome.left_out
    assert left.name == "bomb.png"
    assert f"{side}x{side} px is more than" in left.reason


def test_with_nothing_but_bombs_a_job_fails(desk: Desk, tmp_path: Path) -> None:
    done = work(order(tmp_path, {"bomb.png": huge_png(4000, 4000)}), desk, Watcher())
    assert error_of(done, "bad_input") == (
        "bomb.png: 4000x4000 px is more than the 10 million of this service"
    )


@pytest.mark.parametrize("content", [b"no photo", b"\x89PNG\r\n\x1a\n", photo()[:400], b"GIF89a"])
def test_what_cannot_be_read_is_told_in_the_client_s_words(
    desk: Desk, tmp_path: Path, content: bytes
) -> None:
    done = work(order(tmp_path, {"one.jpg": content, "two.jpg": content}), desk, Watcher())
    message = error_of(done, "bad_input")
    assert "one.jpg" in message
    assert "two.jpg" in message
    assert str(tmp_path) not in message
    assert "upload" not in message


def test_options_for_videos_need_one(desk: Desk, tmp_path: Path) -> None:
    done = work(order(tmp_path, {"one.jpg": photo()}, fps=2), desk, Watcher())
    message = error_of(done, "bad_input")
    assert message == "fps and num_frames are for videos; one.jpg has none"


def test_more_views_than_the_service_takes_are_refused(desk: Desk, tmp_path: Path) -> None:
    files = {"a.mp4": clip(30)}
    done = work(order(tmp_path, files, num_frames=10, max_views=5), desk, Watcher())
    assert "more than the 5 that this service takes" in error_of(done, "bad_input")


def test_a_size_that_the_network_cannot_take_is_refused(desk: Desk, tmp_path: Path) -> None:
    done = work(order(tmp_path, three_photos(), size=100), desk, Watcher())
    assert "multiple" in error_of(done, "bad_input")


def test_a_job_without_any_camera_fails_but_tells_of_each_photo(tmp_path: Path) -> None:
    model = PlayedBack([nonsense(truth.view) for truth in TRUTHS])
    done = work(order(tmp_path, three_photos()), Desk.furnished(model, "x", "auto"), Watcher())
    assert "no photo found its place" in error_of(done, "no_cameras")
    assert [left.name for left in done.outcome.left_out] == list(three_photos())
    assert set(done.results) == {"report", "cameras"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [(MemoryError("too many"), "too_large"), (OSError(28, "No space left"), "server")],
)
def test_what_the_machine_lacks_is_told(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("fast3r.serve.work.write_results", fail)
    done = work(order(tmp_path, three_photos()), desk, Watcher())
    error_of(done, kind)
    assert done.error.retryable == (kind == "server")
    assert done.results == {}


def test_what_an_earlier_try_left_is_removed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results/half.ply").write_bytes(b"half")
    work(order(tmp_path, three_photos()), desk, Watcher())
    assert not (tmp_path / "results/half.ply").exists()


class Shares(Watcher):
    """Remembers how much of the job was done."""

    def __init__(self, *, refined: bool = False) -> None:
        self.shares: list[float] = []
        self._refined = refined

    def started(self, stage: str) -> None:
        self.advanced(stage, 0, 1)

    def advanced(self, stage: str, done: int, steps: int) -> None:
        self.shares.append(share_done(stage, done, steps, refined=self._refined))


def test_the_share_grows_through_stages_that_are_all_known(desk: Desk, tmp_path: Path) -> None:
    watcher = Shares()
    done = work(order(tmp_path, three_photos()), desk, watcher)
    assert tuple(stage.name for stage in done.stages) == STAGES
    assert watcher.shares == sorted(watcher.shares)
    assert watcher.shares[0] == 0
    assert 0.8 < watcher.shares[-1] < 1


def test_a_stage_that_is_not_known_costs_its_progress_only() -> None:
    assert share_done("polish", 1, 2) == 0
