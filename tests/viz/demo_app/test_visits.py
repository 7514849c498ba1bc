"""What the demo remembers of visitors."""

import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from fast3r.views.view import View
from fast3r.viz.demo_app.visits import Batch, Visit, Visits


def write_photo(path: Path, *, width: int = 64, height: int = 48) -> Path:
    Image.effect_noise((width, height), 80).convert("RGB").save(path)
    return path


def make_frames(count: int) -> list[View]:
    pixels = torch.zeros(32, 32, 3, dtype=torch.uint8)
    return [View(pixels, torch.eye(3), f"clip/frame_{i:06d}", 32, 32) for i in range(count)]


def names(visit: Visit, *, num_frames: int = 30) -> list[str]:
    return [view.name for view in visit.views(num_frames=num_frames)]


def test_photos_come_in_natural_order_without_the_paths_they_had(tmp_path: Path) -> None:
    visit = Visit()
    files = [write_photo(tmp_path / f"img{i}.png") for i in (10, 2, 1)]
    visit.add(files, max_views=9)
    assert names(visit) == ["img1.png", "img2.png", "img10.png"]
    assert all(view.source is None for view in visit.views(num_frames=2))


def test_photos_are_read_when_they_are_added(tmp_path: Path) -> None:
    visit = Visit()
    path = write_photo(tmp_path / "a.png")
    visit.add([path], max_views=9)
    path.unlink()
    assert visit.views(num_frames=2)[0].pixels.shape == (384, 512, 3)


def test_photos_are_added_to_those_before_under_names_of_their_own(tmp_path: Path) -> None:
    visit = Visit()
    for _ in range(3):
        visit.add([write_photo(tmp_path / "a.png")], max_views=9)
    assert names(visit) == ["a.png", "a-2.png", "a-3.png"]


def write_video(path: Path, *, frames: int) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 64, 48
        for _ in range(frames):
            picture = Image.effect_noise((64, 48), 80).convert("RGB")
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


def test_videos_come_after_photos_and_only_their_frames_are_thinned(tmp_path: Path) -> None:
    visit = Visit()
    files = [write_video(tmp_path / "a.mp4", frames=10), write_photo(tmp_path / "b.png")]
    visit.add(files, max_views=9)
    photo, *frames = names(visit)
    assert photo == "b.png"
    assert len(frames) == 8
    assert names(visit, num_frames=2) == [photo, frames[0], frames[-1]]


def test_files_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a photo")
    (tmp_path / "clip.mp4").write_text("not a video")
    visit = Visit()
    visit.add(
        [tmp_path / "notes.txt", tmp_path / "clip.mp4", write_photo(tmp_path / "a.png")],
        max_views=9,
    )
    reasons = {photo.name: photo.reason for photo in visit.skipped}
    assert names(visit) == ["a.png"]
    assert reasons["notes.txt"] == "not an image in a format that can be read"
    assert reasons["clip.mp4"].startswith("cannot be read as a video")


def test_no_message_tells_where_files_lay(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.mp4"):
        (tmp_path / name).write_bytes(b"")
    visit = Visit()
    visit.add(sorted(tmp_path.iterdir()), max_views=9)
    assert len(visit.skipped) == 2
    assert not any(str(tmp_path) in photo.name + photo.reason for photo in visit.skipped)


def test_more_photos_than_the_demo_takes_are_refused_unread(tmp_path: Path) -> None:
    visit = Visit()
    visit.add([write_photo(tmp_path / "a.png")], max_views=3)
    more = [write_photo(tmp_path / f"b{i}.png") for i in range(3)]
    with pytest.raises(ValueError, match="takes 3 photos and frames, and has 1 of yours"):
        visit.add(more, max_views=3)
    assert names(visit) == ["a.png"]


@pytest.mark.parametrize(
    ("count", "wanted", "chosen"),
    [(5, 9, [0, 1, 2, 3, 4]), (9, 5, [0, 2, 4, 6, 8]), (9, 2, [0, 8])],
)
def test_frames_are_chosen_evenly(count: int, wanted: int, chosen: list[int]) -> None:
    visit = Visit([Batch(make_frames(count), is_video=True)])
    assert names(visit, num_frames=wanted) == [f"clip/frame_{i:06d}" for i in chosen]


def test_photos_are_never_thinned() -> None:
    visit = Visit([Batch(make_frames(9), is_video=False)])
    assert len(visit.views(num_frames=2)) == 9


def test_visitors_who_do_nothing_for_long_are_forgotten() -> None:
    visits = Visits(keep_s=60)
    idle, new = visits.of("idle"), visits.of("new")
    idle.touched = time.monotonic() - 61
    visits.forget()
    assert visits.of("new") is new
    assert visits.of("idle") is not idle


def test_visitors_do_not_see_each_other(tmp_path: Path) -> None:
    visits = Visits(keep_s=60)
    visits.of("one").add([write_photo(tmp_path / "a.png")], max_views=9)
    assert visits.of("one").num_views == 1
    assert visits.of("two").num_views == 0


def test_requests_without_a_session_share_nothing() -> None:
    visits = Visits(keep_s=60)
    assert visits.of(None) is not visits.of(None)
