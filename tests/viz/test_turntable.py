"""Films of a scene."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast3r.geometry.cameras import Camera
from fast3r.viz.drawing import Drawing
from fast3r.viz.turntable import render_turntable, write_turntable
from tests.export.test_framing import orbit, with_poses
from tests.scenes import make_scene, without_cameras
from tests.viz.pages import painted, repainted

SMALL = {"width": 96, "height": 72}


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


@pytest.mark.parametrize("path", ["orbit", "swing"])
def test_the_last_frame_joins_the_first(path: str) -> None:
    scene = repainted(with_poses(orbit(6, 300, 1.0)), (0, 160, 40))
    frames = list(render_turntable(scene, frames=20, camera=path, **SMALL))
    steps = [difference(a, b) for a, b in pairwise(frames)]
    assert len(frames) == 20
    assert max(steps) > 0
    assert difference(frames[-1], frames[0]) <= 1.5 * max(steps)


def test_frames_are_drawn_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def draw(drawing: Drawing, camera: Camera) -> Image.Image:
        drawn.append(camera)
        return Image.new("RGB", (96, 72))

    monkeypatch.setattr("fast3r.viz.turntable.draw", draw)
    frames = render_turntable(make_scene(), frames=1000, **SMALL)
    assert drawn == []
    next(frames)
    assert len(drawn) == 1


def test_the_same_scene_gives_the_same_frames() -> None:
    one, other = (list(render_turntable(make_scene(), frames=3, **SMALL)) for _ in range(2))
    assert [a.tobytes() for a in one] == [b.tobytes() for b in other]


def has_orange(frame: Image.Image) -> bool:
    red, green, blue = np.asarray(frame, dtype=int).reshape(-1, 3).T
    return bool(((red > 150) & (blue < 90) & (green < 140)).any())


@pytest.mark.parametrize("show_cameras", [True, False])
def test_cameras_are_shown_where_they_are_wanted(show_cameras: bool) -> None:
    scene = painted((0, 160, 40))
    frames = render_turntable(scene, frames=4, camera="orbit", show_cameras=show_cameras, **SMALL)
    assert any(map(has_orange, frames)) == show_cameras


def test_progress_is_told_after_each_frame(tmp_path: Path) -> None:
    told = []
    path = tmp_path / "film.gif"
    write_turntable(
        make_scene(), path, frames=4, seconds=1, progress=lambda *now: told.append(now), **SMALL
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with Image.open(path) as film:
        assert film.n_frames == 4
        assert film.size == (96, 72)


def test_what_progress_raises_ends_the_film(tmp_path: Path) -> None:
    def stop(done: int, steps: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_turntable(make_scene(), tmp_path / "film.gif", frames=9, progress=stop, **SMALL)


def test_a_film_of_unknown_format_is_refused_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("fast3r.viz.turntable.prepare")
    with pytest.raises(ValueError, match=r"do not know how to write a film as film.mov"):
        write_turntable(make_scene(), tmp_path / "film.mov")


def test_a_film_needs_frames() -> None:
    with pytest.raises(ValueError, match="needs frames, got 0"):
        render_turntable(make_scene(), frames=0)


def test_scenes_without_cameras_or_points_say_so() -> None:
    scene = make_scene(("landscape",))
    with pytest.raises(ValueError, match="none of the 1 views has a camera"):
        render_turntable(without_cameras(scene, 0))
    scene.depth[0][:] = 0
    with pytest.raises(ValueError, match="no point is left to draw"):
        render_turntable(scene)
