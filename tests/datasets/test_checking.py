import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from fast3r.data.checking import check_dataset
from fast3r.data.frame import BrokenFrameError, Frame


@dataclass
class Shelf:
    """A dataset in memory: numbers of frames by scene, some of them broken."""

    sizes: dict[str, int]
    broken_frames: frozenset[tuple[str, str]] = frozenset()
    broken_indices: frozenset[str] = frozenset()
    broken_draws: frozenset[str] = frozenset()
    read_so_far: Counter = field(default_factory=Counter)
    root: Path = Path("shelf")

    @property
    def scenes(self) -> list[str]:
        return list(self.sizes)

    def frames(self, scene: str) -> list[str]:
        if scene in self.broken_indices:
            raise BrokenFrameError(f"{scene}/index.json: broken")
        return [str(number) for number in range(self.sizes[scene])]

    def read(self, scene: str, frame: str) -> Frame:
        self.read_so_far[scene, frame] += 1
        if (scene, frame) in self.broken_frames:
            raise BrokenFrameError(f"{scene}/{frame}.jpg: cut short")
        return Frame(frame, np.zeros((2, 2, 3), np.uint8), None, np.eye(3), np.eye(4))

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        if scene in self.broken_draws:
            raise BrokenFrameError(f"{scene}: nothing overlaps")
        return ["0"] * views


def test_every_frame_is_read_once_and_in_order() -> None:
    shelf = Shelf({"a": 40, "b": 3})
    findings = list(check_dataset(shelf, threads=4))
    order = [
        ("a", None),
        *[("a", str(n)) for n in range(40)],
        ("b", None),
        *[("b", s) for s in "012"],
    ]
    assert [(finding.scene, finding.frame) for finding in findings] == order
    assert set(shelf.read_so_far.values()) == {1}
    assert not any(finding.reason for finding in findings)


def test_a_broken_frame_is_found_with_its_reason() -> None:
    shelf = Shelf({"a": 40, "b": 3}, broken_frames=frozenset({("a", "7"), ("b", "2")}))
    broken = [finding for finding in check_dataset(shelf) if finding.reason]
    assert [(f.scene, f.frame, f.reason) for f in broken] == [
        ("a", "7", "a/7.jpg: cut short"),
        ("b", "2", "b/2.jpg: cut short"),
    ]


def test_a_scene_without_index_is_found_and_others_are_read() -> None:
    shelf = Shelf({"a": 5, "b": 3}, broken_indices=frozenset({"a"}))
    findings = list(check_dataset(shelf))
    assert [(f.scene, f.frame, f.reason) for f in findings if f.reason] == [
        ("a", None, "a/index.json: broken")
    ]
    assert len(shelf.read_so_far) == 3


def test_a_scene_of_which_nothing_can_be_drawn_is_found() -> None:
    shelf = Shelf({"a": 5, "b": 3}, broken_draws=frozenset({"b"}))
    reasons = [f.reason for f in check_dataset(shelf) if f.reason]
    assert reasons == ["b: nothing overlaps"]


@pytest.mark.parametrize(("frames", "counts"), [(3, [1, 1, 1]), (30, [2, 14, 14])])
def test_a_sample_is_spread_over_scenes(frames: int, counts: list[int]) -> None:
    shelf = Shelf({"small": 2, "large": 50, "larger": 70})
    list(check_dataset(shelf, frames={3: 3, 30: 42}[frames]))
    read = Counter(scene for scene, _ in shelf.read_so_far)
    assert [read[scene] for scene in shelf.scenes] == counts
    assert set(shelf.read_so_far.values()) == {1}


def test_fewer_frames_than_scenes_leave_scenes_out() -> None:
    shelf = Shelf({str(n): 5 for n in range(10)})
    findings = list(check_dataset(shelf, frames=4))
    assert len({scene for scene, _ in shelf.read_so_far}) == 4
    assert {finding.scenes_done for finding in findings} == {0, 1, 2, 3}


def test_the_seed_decides_what_is_sampled() -> None:
    def sampled(seed: int) -> set[tuple[str, str]]:
        shelf = Shelf({str(n): 50 for n in range(10)})
        list(check_dataset(shelf, frames=20, seed=seed))
        return set(shelf.read_so_far)

    assert sampled(0) == sampled(0)
    assert sampled(0) != sampled(1)


def test_any_scene_may_be_sampled() -> None:
    shelf = Shelf({str(n): 5 for n in range(10)})
    for seed in range(20):
        list(check_dataset(shelf, frames=4, seed=seed))
    assert len({scene for scene, _ in shelf.read_so_far}) == 10


def test_frames_are_read_at_the_same_time() -> None:
    class Meeting(Shelf):
        barrier = threading.Barrier(4, timeout=30)

        def read(self, scene: str, frame: str) -> Frame:
            self.barrier.wait()
            return super().read(scene, frame)

    assert len(list(check_dataset(Meeting({"a": 8}), threads=4))) == 9


def test_whoever_stops_listening_waits_for_little_more() -> None:
    shelf = Shelf({"a": 10_000})
    findings = check_dataset(shelf, threads=2)
    for _ in range(10):
        next(findings)
    findings.close()
    assert len(shelf.read_so_far) < 30


def test_a_missing_package_is_not_taken_for_a_broken_frame() -> None:
    class NoReader(Shelf):
        def read(self, scene: str, frame: str) -> Frame:
            raise ImportError("pip install 'fast3r[train]'")

    with pytest.raises(ImportError, match="train"):
        list(check_dataset(NoReader({"a": 3})))
