import numpy as np

from fast3r.data.config import Shape
from fast3r.data.frame import Frame
from fast3r.evaluation.benchmarks.frame_choice import at_size, middle_frame, random_frames

NAMES = [f"frame{number:02}" for number in range(20)]


def test_a_choice_is_the_same_on_every_machine_for_ever() -> None:
    chosen = random_frames(NAMES, 4, scene="apple/1", seed=0)
    assert chosen == ["frame01", "frame13", "frame18", "frame19"]


def test_another_scene_and_another_seed_choose_others() -> None:
    first = random_frames(NAMES, 4, scene="apple/1", seed=0)
    assert random_frames(NAMES, 4, scene="apple/2", seed=0) != first
    assert random_frames(NAMES, 4, scene="apple/1", seed=1) != first


def test_a_frame_that_is_added_changes_at_most_one_choice() -> None:
    before = random_frames(NAMES, 4, scene="s", seed=0)
    after = random_frames([*NAMES, "new"], 4, scene="s", seed=0)
    assert len(set(before) & set(after)) >= 3


def test_all_frames_are_chosen_where_there_are_too_few() -> None:
    assert random_frames(NAMES[:3], 4, scene="s", seed=0) == NAMES[:3]


def test_key_frames_lie_in_the_middle_of_equal_stretches() -> None:
    assert [middle_frame(NAMES, place, 2) for place in range(2)] == ["frame05", "frame15"]
    assert [middle_frame(["only"], place, 3) for place in range(3)] == ["only"] * 3


def test_portraits_get_the_size_turned() -> None:
    intrinsics = np.array([[50.0, 0, 15], [0, 50, 20], [0, 0, 1]])
    tall = Frame("a", np.zeros((40, 30, 3), np.uint8), None, intrinsics, np.eye(4))
    assert at_size(tall, Shape(24, 32)).image.shape == (32, 24, 3)
    assert at_size(tall, None) is tall
