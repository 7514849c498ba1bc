from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import pytest
import torch

from fast3r.data.config import RenderedConfig, Shape, Stage
from fast3r.data.procedural import stream as module
from fast3r.data.procedural.stream import ProceduralStream
from fast3r.data.sample import Sample, mirror
from fast3r.data.steps import StepLoader

EASY = Stage(0.5, (Shape(16, 16),), (2,), (0.0, 0.2))
HARD = Stage(1.0, (Shape(16, 24), Shape(24, 16)), (2, 3), (0.5, 1.0))
CONFIG = RenderedConfig(stages=(EASY, HARD), tokens_per_step=18)


@dataclass(frozen=True)
class Fixed:
    share: float = 1.0

    def __call__(self, step: int) -> float:
        return self.share


def _stream(
    seed: int = 0, rank: int = 0, share_of_step: Callable[[int], float] | None = None
) -> ProceduralStream:
    return ProceduralStream(
        CONFIG, seed=seed, share_of_step=share_of_step or Fixed(), patch=8, rank=rank
    )


def _equal(first: Sample, second: Sample) -> bool:
    return all(
        torch.equal(getattr(first, field.name), getattr(second, field.name))
        for field in fields(Sample)
    )


def test_odd_steps_mirror_the_step_before() -> None:
    stream = _stream()
    assert _equal(stream[5], mirror(stream[4]))


def test_a_pair_of_steps_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []
    generate = module.generate
    monkeypatch.setattr(
        module,
        "generate",
        lambda *args, **options: rendered.append(1) or generate(*args, **options),
    )
    list(StepLoader(_stream(), 0, 6))
    assert len(rendered) == 3


@pytest.mark.parametrize("stop", [2, 3])
def test_a_run_that_was_stopped_anywhere_goes_on_with_the_same_samples(stop: int) -> None:
    whole = list(StepLoader(_stream(), 0, 6))
    parts = [*StepLoader(_stream(), 0, stop), *StepLoader(_stream(), stop, 6, workers=2)]
    assert all(map(_equal, whole, parts))


def test_the_stage_follows_the_share_of_the_training_that_is_done() -> None:
    def halfway(step: int) -> float:
        return step / 40

    stream = _stream(share_of_step=halfway)
    assert {stream[step].images.shape[3:] for step in range(0, 20, 2)} == {(16, 16)}
    later = {stream[step].images.shape[3:] for step in range(20, 60, 2)}
    assert later == {(16, 24), (24, 16)}


def test_a_mirror_image_is_of_the_stage_of_its_original() -> None:
    def steep(step: int) -> float:
        return 0.0 if step % 2 == 0 else 1.0

    assert _stream(share_of_step=steep)[1].images.shape[3:] == (16, 16)


def test_devices_render_other_scenes_of_the_same_size() -> None:
    for step in range(0, 8, 2):
        first, second = _stream(rank=0)[step], _stream(rank=1)[step]
        assert first.images.shape == second.images.shape
        assert not torch.equal(first.images, second.images)


def test_seeds_render_other_scenes() -> None:
    assert not _equal(_stream(seed=0, share_of_step=Fixed(0))[0], _stream(1, 0, Fixed(0))[0])


def test_a_sample_has_as_many_scenes_as_the_tokens_hold() -> None:
    for step in range(0, 8, 2):
        batch, views, _, height, width = _stream()[step].images.shape
        each = views * height * width // 8**2
        assert batch * each <= 18 < (batch + 1) * each


def test_a_stage_with_shapes_for_another_patch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of the patch \(16 px\), got 24x16"):
        ProceduralStream(CONFIG, seed=0, share_of_step=Fixed(), patch=16)


def test_stages_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one after the other, got \[1.0, 0.5\]"):
        replace(CONFIG, stages=(HARD, EASY))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"views": ()}, "above 0"), ({"difficulty": (0.5, 1.5)}, "within"), ({"views": (0,)}, "0")],
)
def test_a_stage_that_cannot_be_drawn_from_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(EASY, **change)
