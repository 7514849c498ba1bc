from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import (
    read_array,
    read_arrays,
    read_depth_exr,
    read_depth_pfm,
    read_depth_png,
    read_image,
    read_json,
    read_lines,
    read_mask,
)

READERS = {
    "photo": read_image,
    "mask": read_mask,
    "png": lambda path: read_depth_png(path, units_per_metre=1000),
    "exr": read_depth_exr,
    "pfm": read_depth_pfm,
    "npz": lambda path: read_arrays(path, "pose"),
    "npy": read_array,
    "json": read_json,
}


def ramp(kind: type = np.float32) -> np.ndarray:
    return np.arange(12).reshape(3, 4).astype(kind)


def write_exr(path: Path, **channels: np.ndarray) -> Path:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))
    return path


def checked(**changes: object) -> Frame:
    parts = {
        "image": np.zeros((3, 4, 3), np.uint8),
        "depth": ramp(),
        "intrinsics": np.eye(3),
        "world_from_camera": np.eye(4),
    }
    return checked_frame("a", **{**parts, **changes}, source=Path("a.npz"))  # pyright: ignore


def test_a_photo_is_read_as_it_is_stored(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    Image.fromarray(stored).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), stored)


def test_a_photo_is_not_turned_by_its_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 3)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (3, 4, 3)


def test_a_grey_photo_becomes_rgb(tmp_path: Path) -> None:
    Image.new("L", (4, 3), 7).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.full((3, 4, 3), 7))


def test_a_mask_keeps_its_levels(tmp_path: Path) -> None:
    Image.fromarray(ramp(np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), ramp())


def test_a_mask_of_one_bit_is_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(ramp() > 5).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), 255 * (ramp() > 5))


def test_a_mask_in_colour_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    with pytest.raises(BrokenFrameError, match=r"a\.png: has 3 channel\(s\) of uint8; expected"):
        read_mask(tmp_path / "a.png")


def test_depth_of_16_bits_is_divided_by_its_units(tmp_path: Path) -> None:
    Image.fromarray((ramp() * 5000).astype(np.uint16)).save(tmp_path / "a.png")
    depth = read_depth_png(tmp_path / "a.png", units_per_metre=1000)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, ramp() * 5)


def test_depth_of_8_bits_is_refused(tmp_path: Path) -> None:
    Image.fromarray(ramp(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(BrokenFrameError, match=r"1 channel\(s\) of uint8; expected .* 16 bits"):
        read_depth_png(tmp_path / "a.png", units_per_metre=1000)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_exr_depth_is_read_whatever_its_channel_is_called(tmp_path: Path, kind: type) -> None:
    for name in ("Y", "Z", "R"):
        depth = read_depth_exr(write_exr(tmp_path / "a.exr", **{name: ramp(kind)}))
        assert depth.dtype == np.float32
        np.testing.assert_array_equal(depth, ramp())


def test_an_exr_file_of_colours_is_refused(tmp_path: Path) -> None:
    path = write_exr(tmp_path / "a.exr", R=ramp(), G=ramp(), B=ramp())
    with pytest.raises(BrokenFrameError, match=r"a\.exr: has channels \['B', 'G', 'R'\]; expected"):
        read_depth_exr(path)


@pytest.mark.parametrize(("order", "scale"), [("<f4", "-1.0"), (">f4", "1")])
def test_pfm_rows_go_from_the_bottom_to_the_top(tmp_path: Path, order: str, scale: str) -> None:
    header = f"Pf\n4 3\n{scale}\n".encode()
    (tmp_path / "a.pfm").write_bytes(header + ramp()[::-1].astype(order).tobytes())
    np.testing.assert_array_equal(read_depth_pfm(tmp_path / "a.pfm"), ramp())


def test_a_pfm_file_with_too_few_pixels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pfm").write_bytes(b"Pf\n4 3\n-1\n" + ramp().tobytes()[:-4])
    with pytest.raises(BrokenFrameError, match=r"has 44 bytes of pixels; expected 48, for 4x3 px"):
        read_depth_pfm(tmp_path / "a.pfm")


def test_a_pfm_file_of_colours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pfm").write_bytes(b"PF\n4 3\n-1\n" + ramp().tobytes() * 3)
    with pytest.raises(BrokenFrameError, match=r"starts with b'PF.*expected 'Pf'"):
        read_depth_pfm(tmp_path / "a.pfm")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
def test_what_is_no_depth_becomes_unknown(tmp_path: Path, value: float) -> None:
    stored = ramp()
    stored[1, 2] = value
    depth = read_depth_exr(write_exr(tmp_path / "a.exr", Y=stored))
    stored[1, 2] = 0
    np.testing.assert_array_equal(depth, stored)


def test_arrays_come_in_the_order_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", first=np.ones(1), second=np.zeros(2))
    second, first = read_arrays(tmp_path / "a.npz", "second", "first")
    assert (first.shape, second.shape) == ((1,), (2,))


def test_a_missing_array_is_named_beside_those_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", intrinsics=np.eye(3))
    with pytest.raises(BrokenFrameError, match=r"\['intrinsics'\]; expected also \['pose'\]"):
        read_arrays(tmp_path / "a.npz", "intrinsics", "pose")


def test_pickled_objects_are_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(BrokenFrameError, match=r"a\.npy: broken \(Object arrays"):
        read_array(tmp_path / "a.npy")


def test_one_array_and_an_archive_are_not_mixed_up(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(3))
    np.savez(tmp_path / "a.npz", pose=np.eye(3))
    with pytest.raises(BrokenFrameError, match=r"is one array; expected an archive of \('pose',\)"):
        read_arrays(tmp_path / "a.npy", "pose")
    with pytest.raises(BrokenFrameError, match=r"is an archive of arrays; expected one array"):
        read_array(tmp_path / "a.npz")


def test_a_json_object_is_read_with_any_letters(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"Kücherl": [1, 2]}', encoding="utf-8")
    assert read_json(tmp_path / "index.json") == {"Kücherl": [1, 2]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[1]", "holds a list"),
        (b"[" * 9000, "not JSON"),
    ],
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "index.json").write_bytes(content)
    with pytest.raises(BrokenFrameError, match=rf"index\.json: {message}.*expected an object"):
        read_json(tmp_path / "index.json")


def test_lines_come_without_the_space_around_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"extrinsic\r\n 1 2 \r\n")
    assert read_lines(tmp_path / "a.txt") == ["extrinsic", "1 2"]


@pytest.mark.parametrize("kind", READERS)
def test_a_missing_file_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(BrokenFrameError, match=r"lost\.file: no such file.*; expected"):
        READERS[kind](tmp_path / "lost.file")


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("content", [b"", b"no such thing", b"\x93NUMPY", b"PK\x03\x04 cut"])
def test_a_file_of_another_kind_is_named(kind: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.file").write_bytes(content)
    with pytest.raises(BrokenFrameError, match=r"bad\.file: "):
        READERS[kind](tmp_path / "bad.file")


@pytest.mark.parametrize("part", [0.5, 0.98])
def test_a_file_cut_short_is_named(part: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((64, 80), np.float32)
    Image.fromarray((noise * 255).astype(np.uint8)).save(tmp_path / "photo", format="PNG")
    Image.fromarray((noise * 65535).astype(np.uint16)).save(tmp_path / "png", format="PNG")
    write_exr(tmp_path / "exr", Y=noise)
    (tmp_path / "pfm").write_bytes(b"Pf\n80 64\n-1\n" + noise.tobytes())
    np.savez(tmp_path / "npz.npz", pose=noise)
    (tmp_path / "npz.npz").rename(tmp_path / "npz")
    for path in tmp_path.iterdir():
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(BrokenFrameError, match=path.name):
            READERS[path.name](path)


def test_a_frame_of_parts_that_fit_passes() -> None:
    np.testing.assert_array_equal(checked().depth, ramp())


def test_a_frame_may_have_no_depth() -> None:
    assert checked(depth=None).depth is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": ramp()[:2]}, "photo has 4x3 px and its depth map 4x2 px; expected one size"),
        ({"depth": ramp() * 0}, "its depth map is empty"),
        ({"intrinsics": np.diag([0.0, 1, 1])}, "finite numbers with focal lengths above 0"),
        ({"intrinsics": np.diag([np.nan, 1, 1])}, "finite numbers with focal lengths above 0"),
        ({"intrinsics": np.eye(4)}, "expected 3x3"),
        ({"world_from_camera": np.diag([2.0, 1, 1, 1])}, "with a rotation"),
        ({"world_from_camera": np.diag([-1.0, 1, 1, 1])}, "with a rotation"),
        ({"world_from_camera": np.full((4, 4), np.nan)}, "with a rotation"),
        ({"world_from_camera": np.eye(4)[:3]}, "expected 4x4"),
    ],
)
def test_a_frame_whose_parts_do_not_fit_is_refused(change: dict, message: str) -> None:
    with pytest.raises(BrokenFrameError, match=rf"a\.npz: .*{message}"):
        checked(**change)
