"""Panoramas, split into faces."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.geometry.cameras import pixel_grid, pixels_through, rays_through
from fast3r.geometry.transforms import rotation_angle_deg
from fast3r.views.load import load_views
from fast3r.views.panorama import NUM_FACES, Face, faces_of
from fast3r.views.view import View

HEIGHT, WIDTH = 160, 320
XMP = b'<x:xmpmeta><rdf:Description GPano:ProjectionType="equirectangular"/></x:xmpmeta>'


@pytest.fixture
def panorama(tmp_path: Path) -> Path:
    """A panorama whose colours tell the direction: 128 + 100 times x, y, z."""
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    longitude, latitude = (columns / WIDTH - 0.5) * 2 * np.pi, (rows / HEIGHT - 0.5) * np.pi
    direction = np.stack(
        (
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
            np.cos(latitude) * np.cos(longitude),
        ),
        axis=-1,
    )
    pixels = (128 + 100 * direction).round().astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "pano.png")
    return tmp_path / "pano.png"


def face_of(view: View) -> Face:
    assert view.face is not None
    return view.face


def directions(view: View) -> torch.Tensor:
    """Return the direction of each pixel of a face in the frame of its panorama."""
    face, grid = face_of(view), pixel_grid(view.height, view.width).double().flatten(0, 1)
    pixels = pixels_through(view.original_from_network.double(), grid)
    rays = rays_through(pixels, face.intrinsics)
    rays = rays / rays.norm(dim=-1, keepdim=True)
    return (rays @ face.panorama_from_face.mT).view(view.height, view.width, 3)


@pytest.mark.parametrize("size", [64, 128])
def test_every_face_shows_what_lies_in_its_directions(size: int, panorama: Path) -> None:
    for view in load_views(panorama, size=size, lenses="equirectangular"):
        expected = 128 + 100 * directions(view)
        torch.testing.assert_close(view.pixels.double(), expected, rtol=0, atol=3)


def test_faces_are_named_after_their_panorama_and_go_round(panorama: Path) -> None:
    views = load_views(panorama.parent, size=64, lenses="equirectangular")
    assert [view.name for view in views] == [f"pano.png#face{i}" for i in range(NUM_FACES)]
    assert {face_of(view).panorama for view in views} == {"pano.png"}
    turns = torch.stack([face_of(view).panorama_from_face for view in views])
    apart = rotation_angle_deg(turns, turns.roll(-1, dims=0))
    torch.testing.assert_close(apart, torch.full_like(apart, 360 / NUM_FACES))
    torch.testing.assert_close(turns[1, :, 2], torch.tensor([0.5**0.5, 0, 0.5**0.5]).double())


def test_a_face_is_a_square_of_90_degrees_at_the_panoramas_own_resolution() -> None:
    face = faces_of("p.jpg", width=4000, height=2000)[0]
    focal_px = face.intrinsics[0, 0].item()
    assert math.degrees(2 * math.atan(face.side_px / 2 / focal_px)) == pytest.approx(90)
    middle = torch.tensor([[face.side_px / 2, face.side_px / 2]]).double()
    step = face.panorama_from_pixels(middle + 1) - face.panorama_from_pixels(middle)
    torch.testing.assert_close(step, torch.ones_like(step), rtol=0, atol=2e-3)


def test_pixels_of_a_face_are_known_in_the_panorama_also_across_its_edge() -> None:
    face = faces_of("p.jpg", width=3600, height=1800)[4]
    side = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]).double() * math.tan(math.radians(10))
    pixels = face.side_px / 2 + side * face.intrinsics[0, 0]
    found = face.panorama_from_pixels(pixels)
    expected = torch.tensor([[100.0, 900], [0, 900], [3500, 900]]).double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_metadata_tells_a_panorama(kind: str, panorama: Path, tmp_path: Path) -> None:
    path = tmp_path / f"tagged.{kind}"
    if kind == "jpg":
        Image.open(panorama).save(path, xmp=XMP)
    else:
        from PIL.PngImagePlugin import PngInfo

        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", XMP.decode())
        Image.open(panorama).save(path, pnginfo=chunks)
    assert len(load_views(path, size=64)) == NUM_FACES
    assert len(load_views(panorama, size=64)) == 1


def test_panoramas_of_part_of_the_sphere_are_left_out_with_the_reason(tmp_path: Path) -> None:
    Image.new("RGB", (300, 100)).save(tmp_path / "a.jpg", xmp=XMP)
    Image.new("RGB", (300, 200)).save(tmp_path / "b.jpg")
    views = load_views(tmp_path, size=64)
    assert [view.name for view in views] == ["b.jpg"]
    assert "twice as wide as high, and it has 300x100 px" in views.skipped[0].reason


def test_a_mask_of_the_panorama_goes_along(panorama: Path) -> None:
    masks = panorama.parent / "masks"
    masks.mkdir()
    kept = np.zeros((HEIGHT, WIDTH), np.uint8)
    kept[: HEIGHT // 2] = 255
    Image.fromarray(kept).save(masks / "pano.png")
    for view in load_views(panorama, size=64, masks=masks, lenses="equirectangular"):
        assert view.mask is not None
        down = directions(view)[..., 1]
        sure = down.abs() > 0.05
        assert torch.equal(view.mask[sure], (down < 0)[sure])


def test_faces_decoded_later_are_the_same(panorama: Path) -> None:
    now = load_views(panorama, size=64, lenses="equirectangular")
    later = load_views(panorama, size=64, lenses="equirectangular", lazy_above=0)
    assert [view.name for view in now] == [view.name for view in later]
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(now, later, strict=True))
