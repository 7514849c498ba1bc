from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.conventions import from_integer_centres, read_json
from fast3r.data.frame import BrokenFrameError


def test_the_centre_of_an_image_moves_from_between_whole_pixels_to_half_its_size() -> None:
    stored = np.array([[30, 0, 319.5], [0, 30, 239.5], [0, 0, 1]], np.float32)
    expected = [[30, 0, 320], [0, 30, 240], [0, 0, 1]]
    np.testing.assert_array_equal(from_integer_centres(stored), expected)
    assert stored[0, 2] == 319.5


def test_a_json_object_is_read_with_any_letters(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"Kücherl": [1, 2]}', encoding="utf-8")
    assert read_json(tmp_path / "index.json") == {"Kücherl": [1, 2]}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"a": 1', "not JSON"), (b"\xff\xfe\x00", "not JSON"), (b"[1]", "holds a list")],
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "index.json").write_bytes(content)
    with pytest.raises(BrokenFrameError, match=rf"index\.json: {message}.*expected an object"):
        read_json(tmp_path / "index.json")


def test_a_missing_json_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenFrameError, match=r"index\.json: no such file"):
        read_json(tmp_path / "index.json")
