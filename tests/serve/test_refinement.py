"""Jobs that are refined, and that come with what is known of their photos."""

import io
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from fast3r.export.formats import load
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import Watcher
from fast3r.serve import upload
from fast3r.serve.messages import JobOptions
from fast3r.serve.naming import PRIORS_FILE
from fast3r.serve.refusals import Refusal
from fast3r.serve.settings import Limits
from fast3r.serve.wire import Order, Upload
from fast3r.serve.work import Desk, work
from tests.scene.corner import a_corner, shaken
from tests.scene.corner_playback import predictions
from tests.scene.playback import PlayedBack, a_random_model
from tests.serve.client import Client, assert_refused, multipart, post
from tests.serve.test_work import Shares


@cache
def wrong() -> Reconstruction:
    return shaken(a_corner().scene(), turned_deg=3.0, moved=0.1)


@pytest.fixture
def desk() -> Desk:
    """A network that sees the corner of a room, with cameras that are degrees off."""
    return Desk.furnished(PlayedBack(predictions(wrong())), "played back", "auto")


def order(home: Path, *, priors: Mapping[str, Any] | None = None, **options: Any) -> Order:
    """Return the order of a submission of the corner's photos, and lay out its files."""
    folder = home / "input"
    folder.mkdir()
    uploads = []
    for number, view in enumerate(wrong().views):
        file = io.BytesIO()
        Image.fromarray(view.pixels.numpy()).save(file, "PNG")
        uploads.append(Upload(name=f"corner {view.name}", file=f"upload-{number:05d}.png"))
        (folder / uploads[-1].file).write_bytes(file.getvalue())
    if priors is not None:
        (folder / PRIORS_FILE).write_text(json.dumps(priors))
    return Order(
        input_folder=folder,
        result_folder=home / "results",
        uploads=uploads,
        options=JobOptions(formats=["cameras", "npz"], **options),
        max_views=50,
        max_pixels=10_000_000,
    )


def test_a_job_is_refined_with_what_is_known_and_tells_how_far_it_is(
    desk: Desk, tmp_path: Path
) -> None:
    poses = [camera.world_from_camera for camera in a_corner().cameras]
    known = {f"corner {i}.png": poses[i].tolist() for i in range(3)}
    watcher = Shares(refined=True)
    asked = order(tmp_path, priors={"poses": {"views": known, "metric": True}}, refine=True)
    done = work(asked, desk, watcher)
    assert done.error is None
    report = json.loads((tmp_path / "results/report.json").read_text())
    assert report["refinement"]["refined"] == 5
    assert {check["status"] for check in report["priors"]} == {"agrees"}
    assert str(tmp_path) not in json.dumps(report)
    scene = load(tmp_path / "results/scene.npz")
    assert scene.scale.kind == "metric"
    assert all(view.source is None for view in scene.views)
    for camera, pose in zip(scene.cameras, poses, strict=True):
        assert camera is not None
        torch.testing.assert_close(camera.world_from_camera, pose, rtol=0, atol=0.02)
    assert watcher.shares == sorted(watcher.shares)
    assert watcher.shares[-1] > 0.8


def test_priors_alone_are_applied_without_refinement(desk: Desk, tmp_path: Path) -> None:
    ends = ["corner 0.png", "corner 4.png"]
    done = work(
        order(tmp_path, priors={"distances": [{"metres": 3.0, "between": ends}]}), desk, Watcher()
    )
    assert done.error is None
    cameras = json.loads((tmp_path / "results/cameras.json").read_text())
    assert (cameras["scale"], cameras["scale_source"]) == ("metric", "distances")


def test_faces_of_panoramas_are_called_after_the_clients_file(tmp_path: Path) -> None:
    file = io.BytesIO()
    xmp = b'<x:xmpmeta><rdf:Description GPano:ProjectionType="equirectangular"/></x:xmpmeta>'
    Image.new("RGB", (320, 160), (40, 90, 200)).save(file, "JPEG", xmp=xmp)
    asked = order(tmp_path)
    (tmp_path / "input/upload-00000.jpg").write_bytes(file.getvalue())
    asked = asked.model_copy(update={"uploads": [Upload(name="a b.jpg", file="upload-00000.jpg")]})
    # A network that was not trained places none of them.
    done = work(asked, Desk.furnished(a_random_model(), "random", "auto"), Watcher())
    assert done.outcome is not None
    left_out = [photo.name for photo in done.outcome.left_out]
    assert left_out == [f"a b.jpg#face{i}" for i in range(8)]


@pytest.mark.parametrize(
    ("priors", "words"),
    [
        ({"cameras": "/etc"}, "cameras are other files, which cannot be named here"),
        ({"depth": "../.."}, "depth are other files"),
        ({"intrinsics": {"other.jpg": {"focal_px": 225}}}, "other.jpg"),
        ({"focal": 3}, "focal"),
    ],
)
def test_priors_that_cannot_be_true_fail_the_job_as_bad_input(
    desk: Desk, tmp_path: Path, priors: dict[str, object], words: str
) -> None:
    done = work(order(tmp_path, priors=priors), desk, Watcher())
    assert done.error is not None
    assert done.error.kind == "bad_input"
    assert words in done.error.message
    assert str(tmp_path) not in done.error.message


def test_without_pycolmap_refinement_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "CAN_REFINE", False)
    kind, body = multipart([("a.jpg", b"ok")], {"refine": "true"})
    form = upload._Form(kind.partition("boundary=")[2].encode(), tmp_path, Limits())
    form.write(body)
    with pytest.raises(Refusal, match=r"pip install 'fast3r\[refine\]' \(on the server\)"):
        form.options()


def form_with(*priors: bytes) -> tuple[str, bytes]:
    """Return content type and body of a form with a photo and files of priors."""
    kind, body = multipart([("a.jpg", b"ok")], {})
    boundary = kind.partition("boundary=")[2].encode()
    head = b'Content-Disposition: form-data; name="priors"; filename="known.json"'
    parts = b"".join(b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + p + b"\r\n" for p in priors)
    return kind, parts + body


def test_priors_come_as_a_file_beside_the_photos(client: Client) -> None:
    kind, body = form_with(b"{}")
    assert post(client, body, kind).status == 202


@pytest.mark.parametrize(
    ("priors", "words"),
    [
        ([b""], "'priors' is empty or larger than 512 KiB"),
        ([b" " * ((512 << 10) + 1)], "'priors' is empty or larger than 512 KiB"),
        ([b"{}", b"{}"], "priors is given more than once"),
    ],
)
def test_priors_that_are_no_file_of_priors_are_refused(
    client: Client, priors: list[bytes], words: str
) -> None:
    kind, body = form_with(*priors)
    assert_refused(post(client, body, kind), 422, words)


def test_priors_that_are_no_file_are_refused(client: Client) -> None:
    assert_refused(client.submit(b"ok", priors="{}"), 422, "parts named 'priors' must be files")
