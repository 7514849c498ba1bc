import json
from pathlib import Path

import numpy as np
import pytest

from fast3r.data.config import DatasetSource
from fast3r.data.mixture import Member, Mixture, open_mixture
from tests.datasets.toy import ToyScenes


def _scene_folder(root: Path) -> Path:
    (root / "scene").mkdir(parents=True)
    (root / "scene" / "cameras.json").write_text(json.dumps({"views": []}))
    return root


def test_members_are_drawn_by_their_normalised_weights() -> None:
    members = tuple(Member(ToyScenes(i), weight=w) for i, w in enumerate((2.0, 6.0, 0.0)))
    dice = np.random.default_rng(0)
    drawn = [Mixture(members).draw(dice)[0].weight for _ in range(2000)]
    shares = [drawn.count(weight) / len(drawn) for weight in (2.0, 6.0, 0.0)]
    assert shares == pytest.approx([0.25, 0.75, 0], abs=0.03)


def test_scenes_of_a_dataset_are_equally_likely() -> None:
    mixture, dice = Mixture((Member(ToyScenes()),)), np.random.default_rng(0)
    drawn = [mixture.draw(dice)[1] for _ in range(3000)]
    assert [drawn.count(scene) / 3000 for scene in "abc"] == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize("weights", [(), (0.0,), (1.0, -1.0), (float("nan"),), (float("inf"),)])
def test_weights_that_mean_nothing_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights of datasets must be finite, none below 0"):
        Mixture(tuple(Member(ToyScenes(), weight=weight) for weight in weights))


def test_sources_are_opened_in_an_order_of_their_own(tmp_path: Path) -> None:
    roots = {name: _scene_folder(tmp_path / name) for name in ("one", "two")}
    sources = {name: DatasetSource("posed_rgbd", root) for name, root in roots.items()}
    turned = dict(reversed(sources.items()))
    assert open_mixture(sources) == open_mixture(turned)


def test_weight_and_extra_pixels_reach_the_mixture(tmp_path: Path) -> None:
    source = DatasetSource("posed_rgbd", _scene_folder(tmp_path), weight=2.5, extra_px=7)
    (member,) = open_mixture({"mine": source}).members
    assert (member.weight, member.extra_px) == (2.5, 7)


def test_options_reach_the_loader(tmp_path: Path) -> None:
    source = DatasetSource("posed_rgbd", _scene_folder(tmp_path), options={"split": "train"})
    with pytest.raises(ValueError, match=r"posed_rgbd has no option '?split"):
        open_mixture({"mine": source})


def test_no_datasets_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="name at least one, with its layout and root"):
        open_mixture({})
