"""`fast3r plan`, and what `fast3r reconstruct` says and reports of its plan."""

import json
from pathlib import Path

import pytest
from PIL import Image

STAGES = {"load", "encoder", "fusion", "heads", "cameras", "writing"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, size in enumerate([(160, 120), (160, 120), (120, 160)]):
        Image.effect_noise(size, 80).convert("RGB").save(folder / f"{i}.png")
    return folder


def test_a_plan_is_printed_in_one_line_and_a_table(photos: Path, fast3r) -> None:
    outcome = fast3r("plan", photos)
    heading, line, *table = outcome.out.splitlines()
    assert outcome.code == 0
    assert heading.startswith("3 photos or frames, small on ")
    assert line.startswith("plan: 3 views of up to 224 px in one pass, float32; ")
    assert "2 of 224x168, 1 of 168x224 px; 1764 tokens" in table[0]
    assert {row.split()[0] for row in table} >= STAGES | {"memory"}


def test_a_plan_can_be_json(photos: Path, fast3r) -> None:
    outcome = fast3r("plan", photos, "--json", "--quiet")
    plan = json.loads(outcome.out)
    assert outcome.err == ""
    assert plan["views"] == 3
    assert plan["size"] == 224
    assert set(plan["seconds"]) == STAGES
    assert plan["need"]["host"] > plan["need"]["weights"] > 0
    assert plan["fits"]


def test_the_published_model_is_planned_for_without_its_weights(photos: Path, fast3r) -> None:
    outcome = fast3r("plan", photos, "--model", "large", "--json")
    assert json.loads(outcome.out)["need"]["weights"] > 2e9


def test_masks_make_a_plan_cheaper(photos: Path, tmp_path: Path, fast3r) -> None:
    (tmp_path / "masks").mkdir()
    for i, size in enumerate([(160, 120), (160, 120), (120, 160)]):
        mask = Image.new("L", size)
        mask.paste(255, (0, 0, size[0] // 2, size[1]))
        mask.save(tmp_path / "masks" / f"{i}.png")
    outcome = fast3r("plan", photos, "--masks", tmp_path / "masks")
    assert "1764 tokens" not in outcome.out
    assert "896 tokens" in outcome.out


def test_a_wish_that_cannot_be_granted_says_what_can(photos: Path, fast3r) -> None:
    outcome = fast3r("plan", photos, "--memory-gib", 0.01)
    assert outcome.code == 2
    assert "host is too small: 3 views of up to " in outcome.err
    assert "0.0 GiB are to be had" in outcome.err


@pytest.mark.parametrize("command", ["plan", "reconstruct"])
@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--memory-gib", -1, "--memory-gib must be positive and finite, got -1.0"),
        ("--chunk-views", 3, "--chunk-views must be at least 4, got 3"),
    ],
)
def test_budgets_that_mean_nothing_are_refused(
    photos: Path, tmp_path: Path, fast3r, command: str, option: str, value: float, words: str
) -> None:
    output = ("--output", tmp_path / "out") if command == "reconstruct" else ()
    outcome = fast3r(command, photos, option, value, *output)
    assert outcome.code == 2
    assert words in outcome.err


def test_no_photos_are_refused(fast3r) -> None:
    outcome = fast3r("plan")
    assert outcome.code == 2
    assert "no photos were named" in outcome.err


def test_reconstruct_says_its_plan_and_reports_it(photos: Path, tmp_path: Path, fast3r) -> None:
    outcome = fast3r("reconstruct", photos, "--output", tmp_path / "out")
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("plan: ")]
    assert "3 views of up to 224 px in one pass" in line
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["told"] == [line]
    assert report["plan"]["views"] == 3
    assert report["plan"]["need"]["host"] > 0
    assert report["plan"]["seconds"]["fusion"] > 0


def test_doctor_says_how_many_photos_one_pass_holds(fast3r) -> None:
    outcome = fast3r("doctor")
    assert outcome.code == 0
    if "memory unknown" not in outcome.out:
        assert "photos of 512x512 px" in outcome.out
        assert "photos of 224x224 px" in outcome.out
