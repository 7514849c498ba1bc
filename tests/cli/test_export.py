"""`fast3r export`: a saved scene in other formats."""

from pathlib import Path

import pytest

from tests.commands import assert_refused


@pytest.fixture
def saved(reconstruct, photos, tmp_path) -> Path:
    reconstruct(photos, tmp_path / "saved", "--format", "npz", "--quiet")
    return tmp_path / "saved"


@pytest.mark.parametrize("place", ["", "scene.npz"])
def test_export_writes_a_saved_scene_in_other_formats(fast3r, saved, tmp_path, place: str) -> None:
    outcome = fast3r("export", saved / place, "--output", tmp_path / "web", "--format", "glb")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'web'}\n")
    assert [path.name for path in (tmp_path / "web").iterdir()] == ["scene.glb"]


def test_export_writes_the_same_files_as_reconstruct(fast3r, saved, tmp_path) -> None:
    fast3r("export", saved, "--output", tmp_path / "again", "--format", "ply,cameras")
    for name in ("scene.ply", "cameras.json"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


@pytest.mark.parametrize(
    ("scene", "options", "words"),
    [
        ("nowhere/scene.npz", ["--format", "ply"], ["scene.npz", "no such file"]),
        ("photos", ["--format", "ply"], ["scene.npz", "no such file"]),
        ("photos/0.png", ["--format", "ply"], ["only .npz", "0.png"]),
        ("saved", [], ["no format was named", "--format colmap"]),
        ("saved", ["--format", "obj"], ["'obj'", "known are"]),
        ("saved", ["--format", "ply", "--min-conf-percentile", "-1"], ["[0, 100]", "-1"]),
    ],
)
def test_export_refuses(
    fast3r, saved, tmp_path, scene: str, options: list[str], words: list[str]
) -> None:
    outcome = fast3r("export", tmp_path / scene, "--output", tmp_path / "web", "--quiet", *options)
    assert_refused(outcome, *words)


def test_export_does_not_write_pictures_among_the_photos(fast3r, saved, photos) -> None:
    outcome = fast3r("export", saved, "--output", photos, "--format", "still", "--quiet")
    assert_refused(outcome, "--format still would write pictures among the photos")
    assert not (photos / "still.png").exists()
