"""Work on all cores: the same as on one."""

import threading

import numpy as np
import pytest
import torch

from fast3r.scene.refinement import threads
from fast3r.scene.refinement.evidence import Evidence, gather_evidence
from fast3r.scene.refinement.photos import working_photo
from fast3r.scene.refinement.threads import each
from fast3r.scene.stages import StageRecorder
from tests.scene.corner import a_corner


def on_cores(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: count)


def test_results_are_in_the_order_of_the_items_and_progress_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_cores(2, monkeypatch)
    told: list[tuple[int, int]] = []
    later = threading.Event()

    def work(item: int) -> int:
        # The first item is the last to be done.
        assert item or later.wait(10)
        if item == 4:
            later.set()
        return item * item

    found = each(work, range(5), lambda *step: told.append(step))
    assert found == [0, 1, 4, 9, 16]
    assert told == [(done, 5) for done in range(1, 6)]


def test_an_error_is_passed_on_and_the_rest_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    on_cores(1, monkeypatch)
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        each(work, range(100), lambda *_: None)
    assert len(begun) < 100


def test_torch_has_its_threads_back_afterwards() -> None:
    before = torch.get_num_threads()
    assert each(lambda _: torch.get_num_threads(), range(3), lambda *_: None) == [1] * 3
    assert torch.get_num_threads() == before


def test_features_and_matches_are_the_same_bits_with_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos = [working_photo(view, None, max_side_px=1600) for view in a_corner(3).views]
    found: list[Evidence] = []
    for cores in (1, 3):
        on_cores(cores, monkeypatch)
        found.append(gather_evidence(photos, "usual", seed=0, recorder=StageRecorder()))
    first, second = found
    for mine, theirs in zip(first.features, second.features, strict=True):
        assert torch.equal(mine.positions, theirs.positions)
        assert torch.equal(mine.descriptors, theirs.descriptors)
    assert list(first.verified) == list(second.verified) == [(0, 1), (0, 2), (1, 2)]
    for pair, proven in first.verified.items():
        assert torch.equal(proven.matches, second.verified[pair].matches)
        assert np.array_equal(proven.geometry.E, second.verified[pair].geometry.E)
