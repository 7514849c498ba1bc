"""Weights whose licence forbids commercial use, or is not told, are refused on request."""

import pytest

from fast3r.models.checkpoints import convert, load_model, save_model
from fast3r.models.config import SMALL
from fast3r.models.fast3r import Fast3R
from fast3r.models.licences import COMMERCIAL, refuse_metadata


def test_the_bundled_model_may_be_used_commercially():
    assert load_model("small", device="cpu", commercial_only=True).config == SMALL


@pytest.mark.parametrize("name", ["large", "jedyang97/Fast3R_ViT_Large_512"])
def test_the_published_model_is_refused_before_anything_is_fetched(name, monkeypatch):
    monkeypatch.setattr("fast3r.models.checkpoints.fetch", lambda *_: pytest.fail("fetched"))
    with pytest.raises(ValueError, match=r"Noncommercial.*use the bundled model small"):
        load_model(name, commercial_only=True)


def test_published_weights_in_a_folder_are_refused(tmp_path):
    convert("small", tmp_path / "own.safetensors", format="fast3r")
    save_model(load_model("small", device="cpu"), tmp_path / "copy")
    assert load_model(tmp_path / "own.safetensors", device="cpu", commercial_only=True)
    with pytest.raises(ValueError, match="do not name their licence"):
        load_model(tmp_path / "copy", device="cpu", commercial_only=True)


def test_weights_of_ones_own_can_say_what_they_allow(tmp_path):
    save_model(Fast3R(SMALL), tmp_path / "mine", metadata={"licence": "MIT"})
    assert load_model(tmp_path / "mine", device="cpu", commercial_only=True)


@pytest.mark.parametrize("licence", COMMERCIAL)
def test_a_licence_may_be_followed_by_words(licence):
    refuse_metadata("weights", {"licence": f"{licence}; trained on procedural scenes"})


@pytest.mark.parametrize("licence", ["CC-BY-NC-4.0", "MIT-like", "other", "  "])
def test_other_licences_are_refused(licence):
    with pytest.raises(ValueError, match="cannot be used where only weights for commercial use"):
        refuse_metadata("weights", {"licence": licence})
