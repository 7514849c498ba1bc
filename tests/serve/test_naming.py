"""Names of clients, made harmless."""

import pytest

from fast3r.serve.naming import harmless_name, harmless_names, storage_name


@pytest.mark.parametrize("name", ["IMG_1.jpg", "été à la mer.jpeg", "写真 (2).png", "a-b+c.x.MP4"])
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert harmless_name(name) == name


@pytest.mark.parametrize(
    ("name", "harmless"),
    [
        ("../../etc/passwd", "passwd"),
        (r"C:\photos\IMG_1.jpg", "IMG_1.jpg"),
        ("..", "file"),
        ("", "file"),
        ("/", "file"),
        (".hidden.jpg", "hidden.jpg"),
        (".jpg", "jpg"),
        ("a\0b\n\x1b[2J.jpg", "a_b__[2J.jpg".replace("[", "_")),
        ("<script>.png", "_script_.png"),
        ("nul.jpg", "_nul.jpg"),
        ("CON", "_CON"),
        ("trailing. .", "trailing"),
        ("%2e%2e%2f.jpg", "_2e_2e_2f.jpg"),
    ],
)
def test_names_that_could_do_harm_are_changed(name: str, harmless: str) -> None:
    assert harmless_name(name) == harmless


def test_long_names_are_cut_but_keep_their_ending() -> None:
    name = harmless_name("é" * 500 + ".jpg")
    assert len(name.encode()) <= 120
    assert name.endswith("é.jpg")


def test_a_harmless_name_is_harmless_already() -> None:
    for name in ("../x", "a b. .jpg", "nul", "." * 300, "\u202egpj.exe"):
        assert harmless_name(harmless_name(name)) == harmless_name(name)


def test_equal_names_get_numbers() -> None:
    assert harmless_names(["a.jpg", "b/a.jpg", "A.JPG", "a-2.jpg"]) == [
        "a.jpg",
        "a-2.jpg",
        "A-3.JPG",
        "a-2-2.jpg",
    ]


def test_photos_may_differ_by_their_ending_alone_but_videos_not() -> None:
    assert harmless_names(["a.jpg", "a.png", "a.mp4", "a.mov"]) == [
        "a.jpg",
        "a.png",
        "a.mp4",
        "a-2.mov",
    ]


def test_files_are_stored_under_numbers() -> None:
    assert storage_name(7, "../../x.JPG") == "upload-00007.jpg"
    assert storage_name(7, "x.sh") == "upload-00007"
    assert storage_name(7, "x.jpg/../../y") == "upload-00007"
