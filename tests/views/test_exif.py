import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from fast3r.views.exif import Exif, read_exif

Base, Gps = ExifTags.Base, ExifTags.GPS


def exif_of(
    folder: Path,
    main: dict[int, Any] | None = None,
    details: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
) -> Exif:
    """Return what is read from a photo of 4000 pixels with these entries."""
    exif = Image.Exif()
    exif.update(main or {})
    exif.get_ifd(ExifTags.IFD.Exif).update(details or {})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
    Image.new("RGB", (40, 30)).save(folder / "a.jpg", exif=exif)
    with Image.open(folder / "a.jpg") as image:
        return read_exif(image, 4000)


PHONE = {Base.Make: "Maker", Base.Model: "Phone 7"}


def test_a_photo_without_exif_tells_nothing(tmp_path: Path) -> None:
    assert exif_of(tmp_path) == Exif()


def test_photos_of_one_camera_and_zoom_share_a_key(tmp_path: Path) -> None:
    one = exif_of(tmp_path, PHONE, {Base.FocalLength: 4.2})
    two = exif_of(tmp_path, PHONE, {Base.FocalLength: 4.2, Base.DateTimeOriginal: "2024"})
    assert one.camera_key == two.camera_key == "Maker|Phone 7|||4.2||"


@pytest.mark.parametrize(
    "changed",
    [{Base.FocalLength: 6.0}, {Base.LensModel: "tele"}, {Base.DigitalZoomRatio: 2.0}],
)
def test_lens_and_zoom_change_the_key(tmp_path: Path, changed: dict[int, Any]) -> None:
    plain = exif_of(tmp_path, PHONE, {Base.FocalLength: 4.2})
    assert exif_of(tmp_path, PHONE, {Base.FocalLength: 4.2, **changed}).camera_key != (
        plain.camera_key
    )


def test_without_maker_and_model_there_is_no_key(tmp_path: Path) -> None:
    assert exif_of(tmp_path, {}, {Base.FocalLength: 4.2}).camera_key is None


def test_the_film_equivalent_focal_length_spans_36_mm_with_the_long_side(tmp_path: Path) -> None:
    assert exif_of(tmp_path, {}, {Base.FocalLengthIn35mmFilm: 27}).focal_px == pytest.approx(3000)


@pytest.mark.parametrize(("unit", "per_unit"), [(2, 8000.0), (3, 8000 / 2.54)])
def test_the_sensor_tells_the_focal_length_of_a_photo_shrunk_since(
    tmp_path: Path, unit: int, per_unit: float
) -> None:
    details = {
        Base.FocalLength: 25.4,
        Base.FocalPlaneXResolution: per_unit,
        Base.FocalPlaneResolutionUnit: unit,
        Base.ExifImageWidth: 8000,
        Base.ExifImageHeight: 6000,
    }
    assert exif_of(tmp_path, {}, details).focal_px == pytest.approx(4000, rel=1e-4)


def test_time_counts_fractions_and_the_zone(tmp_path: Path) -> None:
    details = {
        Base.DateTimeOriginal: "1970:01:02 01:00:00",
        Base.SubsecTimeOriginal: "25",
        Base.OffsetTimeOriginal: "+01:00",
    }
    assert exif_of(tmp_path, {}, details).time_s == 86400.25


def test_time_without_zone_is_read_as_utc(tmp_path: Path) -> None:
    assert exif_of(tmp_path, {}, {Base.DateTimeOriginal: "1970:01:02 00:00:00"}).time_s == 86400


NORTH_EAST = {
    Gps.GPSLatitudeRef: "N",
    Gps.GPSLatitude: (47.0, 30.0, 36.0),
    Gps.GPSLongitudeRef: "E",
    Gps.GPSLongitude: (8.0, 15.0, 0.0),
}


def test_place_is_in_degrees_and_metres(tmp_path: Path) -> None:
    gps = exif_of(tmp_path, gps={**NORTH_EAST, Gps.GPSAltitude: 412.5}).gps
    assert gps == pytest.approx((47.51, 8.25, 412.5))


def test_south_west_and_below_the_sea_are_negative(tmp_path: Path) -> None:
    signs = {
        Gps.GPSLatitudeRef: "S",
        Gps.GPSLongitudeRef: "W",
        Gps.GPSAltitude: 3.0,
        Gps.GPSAltitudeRef: b"\x01",
    }
    assert exif_of(tmp_path, gps={**NORTH_EAST, **signs}).gps == pytest.approx((-47.51, -8.25, -3))


def test_an_altitude_that_is_not_told_is_not_made_up(tmp_path: Path) -> None:
    gps = exif_of(tmp_path, gps=NORTH_EAST).gps
    assert gps is not None
    assert math.isnan(gps[2])


@pytest.mark.parametrize(
    ("details", "gps"),
    [
        ({Base.FocalLengthIn35mmFilm: 0}, {}),
        ({Base.FocalLength: (4, 0), Base.FocalPlaneXResolution: (0, 0)}, {}),
        ({Base.FocalLength: 4.0, Base.FocalPlaneXResolution: 9.0, 0xA210: 9}, {}),
        ({Base.DateTimeOriginal: "0000:00:00 00:00:00"}, {}),
        ({Base.DateTimeOriginal: "yesterday"}, {}),
        ({}, {**NORTH_EAST, Gps.GPSLatitude: (470.0, 0.0, 0.0)}),
        ({}, {**NORTH_EAST, Gps.GPSLatitude: (47.0,)}),
        ({}, {**NORTH_EAST, Gps.GPSLongitude: (IFDRational(0, 0), 0.0, 0.0)}),
    ],
)
def test_nonsense_is_taken_as_absent(
    tmp_path: Path, details: dict[int, Any], gps: dict[int, Any]
) -> None:
    assert exif_of(tmp_path, {}, details, gps) == Exif()


@pytest.mark.parametrize("orientation", [0, 9, 250])
def test_orientations_that_do_not_exist_mean_upright(tmp_path: Path, orientation: int) -> None:
    assert exif_of(tmp_path, {Base.Orientation: orientation}).orientation == 1


@pytest.mark.parametrize("seed", range(40))
def test_corrupt_exif_never_stops_a_photo(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif.update({**PHONE, Base.Orientation: 6})
    exif.get_ifd(ExifTags.IFD.Exif).update({Base.FocalLength: 4.2, Base.LensModel: "tele"})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(NORTH_EAST)
    content = bytearray(exif.tobytes())
    random = np.random.default_rng(seed)
    for place in random.integers(6, len(content), 12):
        content[place] = random.integers(256)
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=bytes(content))
    # Pillow warns of what it finds; `open_image` silences it.
    monkeypatch.setattr("warnings.warn", lambda *_, **__: None)
    with Image.open(tmp_path / "a.jpg") as image:
        assert isinstance(read_exif(image, 4000), Exif)


def test_a_broken_directory_leaves_the_others_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SyntaxError("broken")

    exif = Image.Exif()
    exif[Base.Orientation] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    monkeypatch.setattr(Image.Exif, "get_ifd", fail)
    with Image.open(tmp_path / "a.jpg") as image:
        assert read_exif(image, 4000).orientation == 6
