"""Presets compose, overrides change them, and what is wrong is told with the nearest right key."""

from pathlib import Path

import pytest
import yaml

from fast3r.data.catalog import DATASETS
from fast3r.models.config import SMALL, Fast3RConfig
from fast3r.plain_values import plain
from fast3r.training.compose import compose, options_of, written


@pytest.mark.parametrize("preset", options_of("preset"))
def test_every_preset_composes(preset: str) -> None:
    config = compose([f"preset={preset}"])
    assert config.output == Path("runs") / preset


def test_the_small_preset_trains_the_bundled_model() -> None:
    assert compose(["preset=small"]).model == SMALL


def test_the_paper_preset_is_the_published_run() -> None:
    config = compose(["preset=paper"])
    assert config.model == Fast3RConfig()
    assert config.data.photos is not None
    assert (config.data.photos.min_views, config.data.photos.max_views) == (20, 20)
    assert {source.weight for source in config.data.photos.sources.values()} == {1.0}
    assert sorted(config.data.photos.sources) == [
        "arkitscenes", "blendedmvs", "co3d", "habitat", "megadepth", "scannetpp",
    ]  # fmt: skip
    assert {s.layout for s in config.data.photos.sources.values()} <= set(DATASETS)
    best = config.optimizer
    assert (best.learning_rate, best.betas, best.weight_decay) == (1e-4, (0.9, 0.95), 0.05)
    assert (best.warmup, best.end, best.decay, config.loss.alpha) == (0.02, 0.01, "all", 0.2)


def test_the_base_preset_differs_from_the_paper_in_its_fusion_only() -> None:
    base, paper = (plain(compose([f"preset={name}"])) for name in ("base", "paper"))
    assert {key for key in paper if paper[key] != base[key]} == {"output", "model"}
    fusion = base["model"]["fusion"]
    assert (fusion["width"], fusion["depth"], fusion["heads"]) == (768, 12, 12)


def test_anything_can_be_overridden_and_the_last_word_counts() -> None:
    config = compose(
        ["preset=small", "model=tiny", "seed=3", "optimizer.learning_rate=1e-3", "seed=4",
         "validation.data.rendered.tokens_per_step=64", "lora.rank=2", "data.views=[2,8]"]
    )  # fmt: skip
    assert (config.seed, config.optimizer.learning_rate) == (4, 1e-3)
    assert config.model.encoder.width == 64
    assert config.validation.data is not None
    assert config.validation.data.rendered is not None
    assert config.validation.data.rendered.tokens_per_step == 64
    assert config.lora is not None
    assert config.lora.rank == 2
    assert config.data.views == (2, 8)


def test_a_length_in_steps_replaces_one_in_minutes() -> None:
    config = compose(["preset=small", "steps=10"])
    assert (config.steps, config.minutes) == (10, None)
    config = compose(["preset=smoke", "minutes=2"])
    assert (config.steps, config.minutes) == (None, 2.0)


def test_a_file_of_ones_own_is_a_preset(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "preset: small\nmodel: tiny\nsteps: 7\noutput: it's here\nloss: {matching: 0.25}\n"
    )
    config = compose([f"preset={mine}", "seed=5"])
    assert (config.steps, config.seed, config.output) == (7, 5, Path("it's here"))
    assert (config.loss.matching, config.loss.attention) == (0.25, 0.5)
    assert config.model.encoder.width == 64


def test_a_written_config_is_a_preset_that_gives_it_back(tmp_path: Path) -> None:
    config = compose(["preset=small", "stop_after_minutes=3", "slurm.partition=gpu"])
    path = tmp_path / "config.yaml"
    path.write_text("preset: smoke\n" + written(config))
    assert compose([f"preset={path}"]) == config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["steps=3"], "name a preset.*base, finetune, paper, small, smoke"),
        (["preset=smal"], "no preset 'smal'; did you mean small"),
        (["preset=smoke", "model=smll"], "no model 'smll'; did you mean small"),
        (["preset=smoke", "stpes=3"], "no key stpes; did you mean steps"),
        (["preset=smoke", "optimizer.learning_rat=3"], "no key optimizer.learning_rat; did you"),
        (["preset=smoke", "steps=many"], "steps must be a whole number, got 'many'"),
        (["preset=smoke", "steps"], "'steps' is no override; write key=value"),
        (["preset=smoke", "steps=3", "minutes=3"], "one of the two"),
        (["preset=smoke", "steps=0"], "above 0"),
        (["preset=smoke", "seed=[1"], r"cannot read .*seed=\[1"),
        (["preset=smoke", "seed=-1"], "seed must be at least 0"),
        (["preset=smoke", "data.views=[8,2]"], "data: views must be the fewest and the most"),
        (["preset=smoke", "data.photos.min_views=3"], "either rendered or photos"),
        (["preset=smoke", "data.rendered=null"], "nothing to train on"),
        (["preset=smoke", "model.encoder.heads=0"], "model.encoder: heads must be positive, got 0"),
        (["preset=smoke", "accumulate=0"], "accumulate must be above 0"),
    ],
)
def test_what_is_wrong_is_told(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compose(overrides)


def test_a_preset_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1")
    with pytest.raises(ValueError, match=r"broken\.yaml cannot be read as YAML"):
        compose([f"preset={path}"])


def test_the_yaml_of_presets_is_package_data() -> None:
    names = {path.name for path in (Path(__file__).parents[2] / "fast3r/training/conf").iterdir()}
    assert names == {"training.yaml", "preset", "model", "data"}
    assert yaml.safe_load(written(compose(["preset=smoke"])))["steps"] == 120
