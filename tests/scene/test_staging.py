"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from fast3r.scene.staging import staging


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_nothing_is_under_its_name_before_the_end(tmp_path: Path) -> None:
    with staging(tmp_path / "out") as stage:
        (stage / "a.txt").write_text("new")
        assert not (tmp_path / "out" / "a.txt").exists()
    assert tree(tmp_path / "out") == {"a.txt": "new"}


def write_and_fail(folder: Path, kind: type[BaseException]) -> None:
    with staging(folder) as stage:
        (stage / "a.txt").write_text("half")
        raise kind


@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(kind: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(kind):
        write_and_fail(tmp_path, kind)
    assert tree(tmp_path) == {"a.txt": "old"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_files_are_replaced_and_foreign_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth" / "mine.txt").write_text("kept")
    (tmp_path / "depth" / "a.txt").write_text("old")
    with staging(tmp_path) as stage:
        (stage / "depth" / "deep").mkdir(parents=True)
        (stage / "depth" / "a.txt").write_text("new")
        (stage / "depth" / "deep" / "b.txt").write_text("new")
    expected = {"depth/mine.txt": "kept", "depth/a.txt": "new", "depth/deep/b.txt": "new"}
    assert tree(tmp_path) == expected


def test_a_folder_under_the_name_of_a_file_is_not_destroyed(tmp_path: Path) -> None:
    (tmp_path / "a.txt" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match=r"a\.txt"), staging(tmp_path) as stage:
        (stage / "a.txt").write_text("new")
    assert (tmp_path / "a.txt" / "inside").is_dir()
