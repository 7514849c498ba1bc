import os
from pathlib import Path

import pytest

from fast3r.views.sources import Sources, find_sources, natural_key

from .pictures import save_all


def names(sources: Sources) -> list[str]:
    return [photo.name for photo in sources.photos]


def test_names_are_sorted_as_people_count() -> None:
    mixed = ["x1y10", "img_10.jpg", "10.jpg", "IMG_9.JPG", "2.jpg", "img10.jpg", "1.jpg", "x1y2"]
    assert sorted(mixed, key=natural_key) == [
        "1.jpg",
        "2.jpg",
        "10.jpg",
        "img10.jpg",
        "IMG_9.JPG",
        "img_10.jpg",
        "x1y2",
        "x1y10",
    ]


def test_equal_numbers_of_other_length_are_kept_apart() -> None:
    assert natural_key("img1") != natural_key("img01")


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    save_all(tmp_path, "img10.png", "img2.jpg", "img1.webp")
    assert names(find_sources(tmp_path)) == ["img1.webp", "img2.jpg", "img10.png"]


def test_names_may_hold_spaces_and_any_letters(tmp_path: Path) -> None:
    save_all(tmp_path, "père noël 2.jpg", "写真 1.png")
    assert names(find_sources(str(tmp_path))) == ["père noël 2.jpg", "写真 1.png"]


def test_files_that_are_no_photos_are_passed_over_in_a_folder(tmp_path: Path) -> None:
    save_all(tmp_path, "a.jpg", "sub/b.jpg", ".hidden.jpg")
    for name in ("notes.txt", "cameras.json", "Makefile", "clip.mp4"):
        (tmp_path / name).write_text("{}")
    assert names(find_sources(tmp_path)) == ["a.jpg"]


def test_a_photo_without_ending_is_known_by_its_content(tmp_path: Path) -> None:
    save_all(tmp_path, "a.jpg", "b.png")
    (tmp_path / "a.jpg").rename(tmp_path / "a")
    (tmp_path / "b.png").rename(tmp_path / "b.dat")
    assert names(find_sources(tmp_path)) == ["a", "b.dat"]


def test_a_list_keeps_its_order(tmp_path: Path) -> None:
    paths = save_all(tmp_path, "c.jpg", "a.jpg", "b.jpg")
    assert names(find_sources(paths)) == ["c.jpg", "a.jpg", "b.jpg"]


def test_names_of_a_list_start_where_its_folders_part(tmp_path: Path) -> None:
    paths = save_all(tmp_path, "left/1.jpg", "right/deep/1.jpg")
    assert names(find_sources(paths)) == ["left/1.jpg", "right/deep/1.jpg"]


def test_folders_can_be_listed(tmp_path: Path) -> None:
    save_all(tmp_path, "left/1.jpg", "left/2.jpg", "right/1.jpg")
    found = find_sources([tmp_path / "right", tmp_path / "left"])
    assert names(found) == ["right/1.jpg", "left/1.jpg", "left/2.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["2.jpg", "10.jpg"]),
        ("*", ["2.jpg", "3.png", "10.jpg"]),
        ("**/*.jpg", ["2.jpg", "10.jpg", "sub/1.jpg"]),
        ("*.mp4", []),
    ],
)
def test_a_pattern_matches_photos_in_natural_order(
    tmp_path: Path, pattern: str, expected: list[str]
) -> None:
    save_all(tmp_path, "10.jpg", "2.jpg", "3.png", "sub/1.jpg")
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "notes.txt").touch()
    found = find_sources(str(tmp_path / pattern))
    assert names(found) == expected
    assert bool(found.videos) == (not expected)


def test_brackets_in_a_real_name_are_no_pattern(tmp_path: Path) -> None:
    save_all(tmp_path, "set [1]/a*.jpg", "set [1]/ab.jpg")
    assert names(find_sources(tmp_path / "set [1]")) == ["a*.jpg", "ab.jpg"]
    assert names(find_sources(tmp_path / "set [1]" / "a*.jpg")) == ["a*.jpg"]


def test_videos_are_named_without_ending_unless_two_share_it(tmp_path: Path) -> None:
    for name in ("walk.mp4", "run.mp4", "run.mov"):
        (tmp_path / name).touch()
    found = find_sources([tmp_path / name for name in ("walk.mp4", "run.mp4", "run.mov")])
    assert list(found.videos) == ["walk", "run.mp4", "run.mov"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "is empty$"),
        (["a.txt", "b.txt", "c.json"], r"holds no photos .*: it has 2 \.txt, 1 \.json$"),
        (["a.nef", "b.NEF"], r"holds no photos that can be read: it has 2 \.nef$"),
        (["clip.mp4", "a.txt"], r"holds no photos; to read a video, name it: .*clip\.mp4$"),
    ],
)
def test_a_folder_without_photos_tells_what_it_has(
    tmp_path: Path, files: list[str], message: str
) -> None:
    for name in files:
        (tmp_path / name).write_text("text")
    with pytest.raises(ValueError, match=message):
        find_sources(tmp_path)


def test_a_folder_of_folders_names_those_with_photos(tmp_path: Path) -> None:
    save_all(tmp_path, "left/1.jpg", "left/2.jpg", "right/1.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"its folders do: left \(2\), right \(1\); name one"):
        find_sources(tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "nowhere does not exist"),
        ("*.jpg", r"no file matches .*\*\.jpg"),
        ("*.txt", r"\*\.txt matches no photos: it matches 1 \.txt"),
    ],
)
def test_a_source_that_is_not_there_is_an_error(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=message):
        find_sources(tmp_path / source)


def test_an_empty_list_is_an_error() -> None:
    with pytest.raises(ValueError, match="the list is empty"):
        find_sources([])


def test_a_photo_listed_twice_is_an_error(tmp_path: Path) -> None:
    save_all(tmp_path, "a.jpg", "sub/b.jpg")
    with pytest.raises(ValueError, match=r"named more than once: .*a\.jpg; name each photo once"):
        find_sources([tmp_path, tmp_path / "sub" / ".." / "a.jpg"])


@pytest.mark.parametrize("source", ["", [""]])
def test_an_empty_name_is_an_error(source: str | list[str]) -> None:
    with pytest.raises(ValueError, match=r"the name is empty; '\.' is the current folder"):
        find_sources(source)


def test_a_name_that_is_no_utf8_becomes_one_that_can_be_written(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path / "a") + b"\xff.jpg"
    try:
        open(raw, "wb").close()
    except OSError:
        pytest.skip("this file system takes no such names")
    (photo,) = find_sources(tmp_path).photos
    assert photo.name == r"a\xff.jpg"
    assert os.fsencode(photo.path) == raw
