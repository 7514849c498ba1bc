from collections.abc import Sequence

import numpy as np
import pytest

from fast3r.data.frame import BrokenFrameError
from fast3r.data.overlap import DepthOverlaps, Pinhole
from tests.datasets.room import depth_of_walls, look


def _overlaps(cameras: dict[str, Pinhole], walls: Sequence[float] = (4.0,)) -> DepthOverlaps:
    return DepthOverlaps(cameras, lambda name: depth_of_walls(cameras[name], walls))


def test_cameras_side_by_side_overlap_and_distant_ones_do_not() -> None:
    overlaps = _overlaps({"a": look(0, 0), "b": look(1, 0), "far": look(30, 0)})
    assert overlaps["a"] == ["b"]
    assert overlaps["b"] == ["a"]
    assert overlaps["far"] == []


def test_cameras_back_to_back_do_not_overlap() -> None:
    overlaps = _overlaps({"a": look(0, 0), "b": look(0, 0, turn_deg=180)}, walls=(4.0, -4.0))
    assert overlaps["a"] == overlaps["b"] == []


def test_a_frame_overlaps_where_a_quarter_of_its_surface_is_shared() -> None:
    width = 4.0 * 64 / 40  # of the part of the wall that a photo shows
    overlaps = _overlaps({"a": look(0, 0), "b": look(0.7 * width, 0), "c": look(-0.8 * width, 0)})
    assert overlaps["a"] == ["b"]


def test_what_is_hidden_behind_a_wall_is_not_shared() -> None:
    cameras = {"before": look(0, 0), "behind": look(0, 3)}
    assert _overlaps(cameras, walls=(5.0,))["behind"] == ["before"]
    assert _overlaps(cameras, walls=(5.0, 2.0))["behind"] == []


def test_two_sides_of_a_wall_are_not_shared() -> None:
    overlaps = _overlaps({"front": look(0, 0), "back": look(0, 8, turn_deg=180)})
    assert overlaps["front"] == overlaps["back"] == []


@pytest.mark.parametrize(("z", "seen"), [(-4.0, ["b"]), (-12.0, [])])
def test_frames_from_far_nearer_or_farther_do_not_overlap(z: float, seen: list[str]) -> None:
    assert _overlaps({"a": look(0, 0), "b": look(0, z)})["a"] == seen


def test_a_frame_without_known_depth_has_no_neighbours_but_can_be_one() -> None:
    cameras = {"a": look(0, 0), "b": look(0.5, 0)}
    overlaps = DepthOverlaps(
        cameras, lambda name: depth_of_walls(cameras[name], (4.0,)) * (name != "b")
    )
    assert overlaps["a"] == ["b"]
    assert overlaps["b"] == []


def test_a_broken_neighbour_is_passed_over_and_a_broken_frame_told() -> None:
    cameras = {"a": look(0, 0), "b": look(0.5, 0), "c": look(0.2, 0)}

    def read(name: str) -> np.ndarray:
        if name == "b":
            raise BrokenFrameError("b.png: torn")
        return depth_of_walls(cameras[name], (4.0,))

    overlaps = DepthOverlaps(cameras, read)
    assert overlaps["a"] == ["c"]
    with pytest.raises(BrokenFrameError, match="torn"):
        overlaps["b"]


def test_depth_maps_of_another_size_than_the_photo_serve_as_well() -> None:
    cameras = {"a": look(0, 0), "b": look(1, 0), "far": look(9, 0)}
    overlaps = DepthOverlaps(cameras, lambda name: depth_of_walls(cameras[name], (4.0,))[::4, ::4])
    assert overlaps["a"] == ["b"]


def test_every_depth_map_is_read_once() -> None:
    cameras = {str(i): look(0.2 * i, 0) for i in range(5)}
    read: list[str] = []
    overlaps = DepthOverlaps(
        cameras, lambda name: read.append(name) or depth_of_walls(cameras[name], (4.0,))
    )
    for name in [*cameras, *cameras]:
        overlaps[name]
    assert sorted(read) == sorted(cameras)


def test_many_neighbours_are_thinned_out_alike_whatever_was_asked_before() -> None:
    cameras = {str(i): look(0.01 * i, 0) for i in range(60)}
    first, second = _overlaps(cameras), _overlaps(cameras)
    for name in ("7", "3"):
        second[name]
    assert first["5"] == second["5"]
    assert len(first["5"]) == 32
    assert first["5"] != first["6"]


def test_a_scene_without_depth_has_no_frames() -> None:
    assert len(_overlaps({})) == 0
    assert "a" not in _overlaps({})
