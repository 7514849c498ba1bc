"""`fast3r reconstruct --chunk-views`: long sets in chunks, on the command line."""

import json
import shutil
from pathlib import Path

import pytest

from tests.commands import EXAMPLES, Command

PHOTOS = EXAMPLES / "banana"


def chunked(folder: Path, output: Path, *more: object) -> list[object]:
    return ["reconstruct", folder, "--output", output, "--chunk-views", 8, "--overlap", 4, *more]


def test_photos_are_reconstructed_in_chunks(tmp_path: Path, fast3r: Command) -> None:
    done = fast3r(*chunked(PHOTOS, tmp_path, "--size", 64))
    assert done.code == 0, done.err
    assert "chunks of up to 8 views joined" in done.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert [chunk["views"] for chunk in report["long"]["chunks"]] == [8, 8, 8]
    assert {link["kind"] for link in report["long"]["links"]} >= {"overlap"}
    assert not (tmp_path / "chunks").exists()


def test_chunks_of_an_interrupted_run_are_kept_and_those_of_other_photos_refused(
    tmp_path: Path, fast3r: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fast3r.cli import reconstruct

    photos, output = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(PHOTOS, photos)

    def interrupted(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(reconstruct, "write_results", interrupted)
        stopped = fast3r(*chunked(photos, output, "--size", 64))
    assert stopped.code == 2
    assert len(list((output / "chunks").glob("chunk-*.npz"))) == 3
    first, second = sorted(photos.iterdir())[:2]
    shutil.copy(first, second)
    refused = fast3r(*chunked(photos, output, "--size", 64))
    assert refused.code == 2
    assert f"have changed, such as {second.name}" in refused.err
    assert "delete the folder or use another one" in refused.err


def test_an_overlap_without_chunks_is_refused(tmp_path: Path, fast3r: Command) -> None:
    done = fast3r("reconstruct", PHOTOS, "--output", tmp_path, "--overlap", 4)
    assert done.code == 2
    assert "--overlap is for --chunk-views, which is not given" in done.err


def test_an_overlap_that_is_too_large_is_refused(tmp_path: Path, fast3r: Command) -> None:
    done = fast3r(*chunked(PHOTOS, tmp_path, "--overlap", 6))
    assert done.code == 2
    assert "chunk_views must be at least twice the overlap of 6 views, got 8" in done.err
