"""Files of visitors: shared while needed, gone when taken."""

import os
import time
from pathlib import Path

import pytest

from fast3r.viz.demo_app.storage import Storage, Uploads, touch


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    (tmp_path / "uploads" / "hash").mkdir(parents=True)
    return Uploads(tmp_path / "uploads")


def arrive(uploads: Uploads, name: str = "a.jpg") -> str:
    """Let a visitor upload a file; files of the same name are of the same content."""
    uploads.begin()
    path = uploads.folder / "hash" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"photo")
    uploads.end([str(path)])
    return str(path)


def new_folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_a_file_is_gone_once_it_is_taken(uploads: Uploads, tmp_path: Path) -> None:
    path = arrive(uploads)
    (taken,) = uploads.take([path], new_folder(tmp_path, "mine"))
    assert taken.read_bytes() == b"photo"
    assert list(uploads.folder.iterdir()) == []


def test_a_file_that_two_visitors_sent_serves_both(uploads: Uploads, tmp_path: Path) -> None:
    path = arrive(uploads)
    assert arrive(uploads) == path
    for name in ("mine", "yours"):
        (taken,) = uploads.take([path], new_folder(tmp_path, name))
        assert taken.read_bytes() == b"photo"
    assert not Path(path).exists()


def test_a_file_stays_while_another_upload_arrives(uploads: Uploads, tmp_path: Path) -> None:
    path = arrive(uploads)
    uploads.begin()
    uploads.take([path], new_folder(tmp_path, "mine"))
    assert Path(path).exists()
    uploads.end([])
    assert not Path(path).exists()


def test_a_file_cannot_be_taken_twice(uploads: Uploads, tmp_path: Path) -> None:
    path = arrive(uploads)
    folder = new_folder(tmp_path, "mine")
    uploads.take([path], folder)
    with pytest.raises(ValueError, match="add them again"):
        uploads.take([path], folder)


def test_a_file_that_was_not_uploaded_cannot_be_taken(uploads: Uploads, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    with pytest.raises(ValueError, match="no longer here"):
        uploads.take([str(secret)], new_folder(tmp_path, "mine"))
    assert secret.exists()


def test_equal_names_get_a_number(uploads: Uploads, tmp_path: Path) -> None:
    first = arrive(uploads)
    uploads.begin()
    second = uploads.folder / "other" / "a.jpg"
    second.parent.mkdir()
    second.write_bytes(b"another photo")
    uploads.end([str(second)])
    taken = uploads.take([first, str(second)], new_folder(tmp_path, "mine"))
    assert [path.name for path in taken] == ["a.jpg", "a-2.jpg"]
    assert [path.read_bytes() for path in taken] == [b"photo", b"another photo"]


def test_what_nobody_claims_is_removed_in_time(uploads: Uploads) -> None:
    old, new = Path(arrive(uploads, "old.jpg")), Path(arrive(uploads, "new.jpg"))
    os.utime(old, (time.time() - 100,) * 2)
    uploads.remove_stale(older_than_s=50)
    assert not old.exists()
    assert new.exists()


def test_results_are_removed_in_time_unless_somebody_looks() -> None:
    storage = Storage(keep_s=50)
    try:
        old, seen = (storage.new_folder(for_results=True) for _ in range(2))
        for folder in (old, seen):
            (folder / "scene.npz").touch()
            os.utime(folder, (time.time() - 100,) * 2)
        touch(seen)
        storage.sweep()
        assert not old.exists()
        assert seen.exists()
    finally:
        storage.close()
    assert not storage.folder.exists()
