"""What the device does: a model that can be interrupted, views that suit it, cameras refined."""

import pytest
import torch

from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.views.view import View, Views
from fast3r.viz.demo_app.line import Job, StoppedError
from fast3r.viz.demo_app.settings import Settings
from fast3r.viz.demo_app.work import RUNNING, Studio, Wish, interruptible
from tests.scene.corner import a_corner


def make_view(name: str = "a.jpg", *, height: int = 96, width: int = 128) -> View:
    pixels = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)
    return View(pixels, torch.eye(3), name, height, width)


def nothing(_: Job) -> None:
    """Work that is none."""


@pytest.fixture(scope="module")
def small() -> Fast3R:
    return load_model("small", device="cpu")


def test_a_model_stops_before_its_next_layer(small: Fast3R) -> None:
    job = Job(nothing)
    job.started(RUNNING)
    passed = []
    second = small.encoder.blocks[1].register_forward_pre_hook(lambda *_: job.stop())
    third = small.encoder.blocks[2].register_forward_hook(lambda *_: passed.append(3))
    try:
        with interruptible(small, job, 1), pytest.raises(StoppedError):
            small([torch.rand(1, 3, 32, 32)])
    finally:
        second.remove()
        third.remove()
    assert passed == []


def test_a_model_can_be_used_as_before_after_an_interruption(small: Fast3R) -> None:
    job = Job(nothing)
    job.started(RUNNING)
    images = [torch.rand(1, 3, 32, 32)]
    with torch.no_grad():
        before = small(images)[0].world.points
        with interruptible(small, job, 1):
            during = small(images)[0].world.points
        job.stop()
        after = small(images)[0].world.points
    assert torch.equal(before, during)
    assert torch.equal(before, after)


def test_the_progress_of_a_model_rises_towards_one(small: Fast3R) -> None:
    job = Job(nothing)
    shares: list[float] = []
    job.advanced = lambda stage, done, steps: shares.append(done / steps)
    with interruptible(small, job, 3), torch.no_grad():
        small([torch.rand(1, 3, 32, 32) for _ in range(3)])
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.5 in shares
    assert 0.9 < shares[-1] < 1


def test_views_too_narrow_for_the_model_are_left_out_and_named() -> None:
    views = Views([make_view("a.jpg"), make_view("strip.jpg", height=16, width=256)])
    studio = Studio(Settings(device="cpu"))
    outcome = studio.reconstruct(views, Wish("small", None), Job(nothing))
    assert [view.name for view in outcome.scene.views] == ["a.jpg"]
    assert [photo.name for photo in outcome.scene.skipped] == ["strip.jpg"]
    assert "too narrow" in outcome.scene.skipped[0].reason


def test_views_that_are_all_too_narrow_are_refused_by_name() -> None:
    views = Views([make_view("strip.jpg", height=16, width=256)])
    with pytest.raises(ValueError, match=r"strip\.jpg cannot be used: .* too narrow"):
        Studio(Settings(device="cpu")).reconstruct(views, Wish("small", None), Job(nothing))


def test_cameras_are_refined_by_the_photos_as_they_were_added() -> None:
    views = Views(a_corner(3).views)
    studio = Studio(Settings(device="cpu"))
    scene = studio.reconstruct(views, Wish("small", None, refine=True), Job(nothing)).scene
    assert scene.views[0].width == 224 < views[0].width
    assert scene.refinement is not None
    assert scene.refinement.after_px is not None
    # Of the pixels that the network sees, no camera is as exact.
    assert scene.refinement.after_px < 0.3


def test_refinement_stops_between_photos() -> None:
    class Leaving(Job):
        def advanced(self, stage: str, done: int, steps: int) -> None:
            if stage == "features":
                self.stop()
            super().advanced(stage, done, steps)

    job = Leaving(nothing)
    studio = Studio(Settings(device="cpu"))
    with pytest.raises(StoppedError):
        studio.reconstruct(Views(a_corner(3).views), Wish("small", None, refine=True), job)
    assert job.stages[-1].name == "features"


def test_a_device_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="device must be one of"):
        Studio(Settings(device="tpu"))
