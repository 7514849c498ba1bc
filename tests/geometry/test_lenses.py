"""Lenses, against COLMAP's own."""

import numpy as np
import pytest
import torch

from fast3r.geometry.cameras import intrinsics_through, rays_through
from fast3r.geometry.lenses import PARAMETERS, Lens, ideal_from_photo, photo_from_ideal

WIDTH, HEIGHT = 640, 480
NUMBERS = {
    "SIMPLE_PINHOLE": (500.0, 322.0, 238.0),
    "PINHOLE": (500.0, 510.0, 322.0, 238.0),
    "SIMPLE_RADIAL": (500.0, 322.0, 238.0, -0.1),
    "RADIAL": (500.0, 322.0, 238.0, -0.1, 0.02),
    "OPENCV": (500.0, 510.0, 322.0, 238.0, -0.2, 0.05, 1e-3, -2e-3),
    "FULL_OPENCV": (500.0, 510.0, 322.0, 238.0, 0.3, 0.05, 1e-3, -2e-3, 0.01, 0.4, 0.1, 0.02),
    "SIMPLE_RADIAL_FISHEYE": (300.0, 322.0, 238.0, -0.02),
    "RADIAL_FISHEYE": (300.0, 322.0, 238.0, 0.02, 3e-3),
    "OPENCV_FISHEYE": (300.0, 310.0, 322.0, 238.0, 0.02, -0.01, 3e-3, -1e-3),
}
LENSES = [Lens(model, numbers, WIDTH, HEIGHT) for model, numbers in NUMBERS.items()]


def some_pixels(count: int = 400) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    size = torch.tensor([WIDTH, HEIGHT], dtype=torch.float64)
    return torch.rand(count, 2, generator=random, dtype=torch.float64) * size


def test_every_model_is_tried() -> None:
    assert list(NUMBERS) == list(PARAMETERS)


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_pixels_of_rays_are_those_of_colmap(lens: Lens) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    camera = pycolmap.Camera(
        model=lens.model, width=WIDTH, height=HEIGHT, params=list(lens.parameters)
    )
    rays = lens.undistort(some_pixels())
    theirs = torch.from_numpy(camera.img_from_cam(3.7 * rays.numpy()))
    torch.testing.assert_close(lens.distort(3.7 * rays), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_rays_of_pixels_are_those_of_colmap(lens: Lens) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    camera = pycolmap.Camera(
        model=lens.model, width=WIDTH, height=HEIGHT, params=list(lens.parameters)
    )
    rays = lens.undistort(some_pixels())
    theirs = torch.from_numpy(np.asarray(camera.cam_from_img(some_pixels().numpy())))
    torch.testing.assert_close(rays[:, :2] / rays[:, 2:], theirs, rtol=0, atol=1e-7)


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_distorting_undoes_undistorting(lens: Lens) -> None:
    pixels = some_pixels()
    torch.testing.assert_close(lens.distort(lens.undistort(pixels)), pixels, rtol=0, atol=1e-7)
    ideal = lens.ideal_from_photo(pixels)
    torch.testing.assert_close(lens.photo_from_ideal(ideal), pixels, rtol=0, atol=1e-7)


def test_a_lens_without_coefficients_is_a_pinhole() -> None:
    lens = Lens("OPENCV", (500.0, 510.0, 322.0, 238.0, 0.0, 0.0, 0.0, 0.0), WIDTH, HEIGHT)
    assert lens.is_pinhole
    torch.testing.assert_close(lens.photo_from_ideal(some_pixels()), some_pixels())
    rays = rays_through(some_pixels(), lens.intrinsics)
    expected = rays / rays.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(lens.undistort(some_pixels()), expected)


def test_a_fisheye_without_coefficients_is_no_pinhole() -> None:
    assert not Lens("SIMPLE_RADIAL_FISHEYE", (300.0, 320.0, 240.0, 0.0), WIDTH, HEIGHT).is_pinhole


def test_a_fisheye_sees_what_is_beside_and_behind_it() -> None:
    lens = Lens("SIMPLE_RADIAL_FISHEYE", (100.0, 320.0, 240.0, 0.0), WIDTH, HEIGHT)
    beside_and_behind = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, -1.0]])
    pixels = lens.distort(beside_and_behind)
    angles = (pixels[:, 0] - 320) / 100
    torch.testing.assert_close(angles, torch.tensor([torch.pi / 2, 3 * torch.pi / 4]))
    normal = torch.nn.functional.normalize(beside_and_behind, dim=-1)
    torch.testing.assert_close(lens.undistort(pixels), normal, rtol=0, atol=1e-6)
    assert lens.ideal_from_photo(pixels).isnan().all()


def test_what_is_behind_other_lenses_is_not_seen() -> None:
    assert LENSES[3].distort(torch.tensor([[0.1, 0.1, -1.0]])).isnan().all()


def test_beyond_the_turning_point_there_is_nothing() -> None:
    """With k1 = -1/3, r - r^3 / 3 turns at r = 1, where it is 2/3."""
    lens = Lens("SIMPLE_RADIAL", (300.0, 320.0, 240.0, -1 / 3), WIDTH, 400)
    rays = torch.tensor([[0.99, 0.0, 1.0], [1.01, 0.0, 1.0]])
    assert lens.distort(rays).isfinite().all(dim=-1).tolist() == [True, False]
    pixels = torch.tensor([[320 + 0.99 * 200, 240.0], [320 + 1.01 * 200, 240.0]])
    assert lens.undistort(pixels).isfinite().all(dim=-1).tolist() == [True, False]


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_a_scaled_lens_shows_the_same_rays_at_scaled_pixels(lens: Lens) -> None:
    scaled = lens.scaled(WIDTH // 4, HEIGHT // 4)
    assert (scaled.width, scaled.height) == (160, 120)
    torch.testing.assert_close(scaled.undistort(some_pixels() / 4), lens.undistort(some_pixels()))
    shrink = torch.diag(torch.tensor([0.25, 0.25, 1.0], dtype=torch.float64))
    torch.testing.assert_close(scaled.intrinsics, intrinsics_through(shrink, lens.intrinsics))


def test_the_number_format_of_the_input_is_kept() -> None:
    pixels = some_pixels().float()
    assert LENSES[4].photo_from_ideal(pixels).dtype == torch.float32
    assert LENSES[4].undistort(pixels).dtype == torch.float32


def test_without_a_lens_the_photo_is_the_ideal_one() -> None:
    assert torch.equal(photo_from_ideal(some_pixels(), None), some_pixels())
    assert torch.equal(ideal_from_photo(some_pixels(), None), some_pixels())


def test_no_pixels_give_no_rays() -> None:
    assert LENSES[4].undistort(torch.zeros(0, 2)).shape == (0, 3)


@pytest.mark.parametrize(
    ("model", "numbers", "message"),
    [
        ("OPENCVV", (1.0,), "no lens is called 'OPENCVV'; known are SIMPLE_PINHOLE"),
        ("FOV", (1.0,), "colmap image_undistorter"),
        (
            "OPENCV",
            (500.0, 500.0, 320.0, 240.0, 0.1),
            r"OPENCV has 8 parameters \(fx fy cx cy k1 k2 p1 p2\), got 5",
        ),
        ("SIMPLE_RADIAL", (500.0, 320.0, 240.0, float("nan")), "must be finite"),
        ("SIMPLE_RADIAL", (-500.0, 320.0, 240.0, 0.0), "focal lengths must be positive"),
        (
            "SIMPLE_RADIAL",
            (300.0, 320.0, 240.0, -0.9),
            r"k1 -0.9\) folds over inside the photo of 640x480 px, less than 240 px",
        ),
    ],
)
def test_what_is_no_lens_is_refused(model: str, numbers: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lens(model, numbers, WIDTH, HEIGHT)
