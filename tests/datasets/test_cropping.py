from pathlib import Path

import numpy as np
import pytest
import torch

from fast3r.data.config import Shape
from fast3r.data.cropping import fit_frame, oriented
from fast3r.data.frame import BrokenFrameError, Frame
from fast3r.geometry.cameras import unproject
from fast3r.geometry.transforms import fit_similarity

GOLDEN = np.load(Path(__file__).parent.parent / "data" / "golden" / "data_pipeline.npz")
CASES = {"land": 0, "land_aug16": 10, "port": 7, "square": 10, "sqres": 0}
"""Case of the reference: the extra pixels that it drew, as its focal length tells."""

PORTRAITS = ("port", "square")
"""Cases whose views the reference has turned to landscape by swapping x and y."""


def _frame(
    height: int, width: int, *, focal: float = 50.0, centre: tuple[float, float] | None = None
) -> Frame:
    """A photo whose colours and depth tell the place of each pixel."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    principal = centre or (width / 2, height / 2)
    return Frame(
        name="photo",
        image=np.stack([x % 256, y % 256, np.full_like(x, 7)], -1).astype(np.uint8),
        depth=(1 + x + 1000 * y).astype(np.float32),
        intrinsics=np.array([[focal, 0, principal[0]], [0, focal, principal[1]], [0, 0, 1.0]]),
        world_from_camera=np.eye(4),
    )


def _golden_frame(case: str) -> tuple[Frame, Shape]:
    """The photo that the reference was given, and the shape that it was to make of it."""
    width, height, focal, x, y = GOLDEN[f"crop_{case}_spec"].tolist()
    frame = _frame(int(height), int(width), focal=focal, centre=(x + 0.5, y + 0.5))
    columns, rows = np.meshgrid(np.arange(int(width)), np.arange(int(height)))
    depth = 2 + 0.5 * np.sin(0.05 * columns) + 0.3 * np.cos(0.07 * rows)
    shape = Shape(*GOLDEN[f"crop_{case}_true_shape"].tolist())
    return Frame(
        "golden", frame.image, depth.astype(np.float32), frame.intrinsics, np.eye(4)
    ), shape


def _turned_back(case: str, array: np.ndarray) -> np.ndarray:
    return array.swapaxes(0, 1) if case in PORTRAITS else array


@pytest.mark.parametrize(("case", "extra_px"), CASES.items())
def test_intrinsics_are_those_of_the_reference(case: str, extra_px: int) -> None:
    frame, shape = _golden_frame(case)
    fitted = fit_frame(frame, shape, extra_px=extra_px)
    expected = GOLDEN[f"crop_{case}_camera_intrinsics"].astype(np.float64)
    if case in PORTRAITS:
        expected = expected[[1, 0, 2]]  # the reference swaps rows but means to swap x and y
    expected[:2, 2] += 0.5  # the reference has pixel centres at whole numbers
    np.testing.assert_allclose(fitted.intrinsics, expected, rtol=1e-5)


@pytest.mark.parametrize(("case", "extra_px"), CASES.items())
def test_depth_is_that_of_the_reference_but_for_half_a_pixel(case: str, extra_px: int) -> None:
    frame, shape = _golden_frame(case)
    ours = fit_frame(frame, shape, extra_px=extra_px).depth
    theirs = _turned_back(case, GOLDEN[f"crop_{case}_depthmap"])
    known = theirs > 0
    assert ours is not None
    # The reference takes a pixel's top-left corner for its centre and rounds down, along each
    # axis up to two pixels of the photo, in each of which depth changes by 0.025 at most.
    assert np.abs(ours[::4, ::4] - theirs)[known].max() < 0.1


@pytest.mark.parametrize(("case", "extra_px"), CASES.items())
def test_points_are_those_of_the_reference(case: str, extra_px: int) -> None:
    frame, shape = _golden_frame(case)
    intrinsics = fit_frame(frame, shape, extra_px=extra_px).intrinsics
    depth = np.zeros((shape.height, shape.width), np.float32)
    depth[::4, ::4] = _turned_back(case, GOLDEN[f"crop_{case}_depthmap"])
    points = unproject(torch.from_numpy(depth), torch.from_numpy(intrinsics).float())[::4, ::4]
    known = torch.from_numpy(depth[::4, ::4] > 0)
    theirs = torch.from_numpy(_turned_back(case, GOLDEN[f"crop_{case}_pts3d"]).copy())
    world_from_camera = fit_similarity(points[known], theirs[known], with_scale=False)
    torch.testing.assert_close(
        world_from_camera(points[known]), theirs[known], atol=1e-4, rtol=1e-5
    )


@pytest.mark.parametrize("extra_px", [0, 13])
@pytest.mark.parametrize("shape", [Shape(32, 48), Shape(48, 32), Shape(40, 40)])
@pytest.mark.parametrize(("height", "width"), [(90, 120), (120, 90), (20, 31)])
def test_each_pixel_keeps_the_ray_through_what_it_shows(
    height: int, width: int, shape: Shape, extra_px: int
) -> None:
    frame = _frame(height, width, centre=(width * 0.45, height * 0.56))
    fitted = fit_frame(frame, shape, extra_px=extra_px)
    assert fitted.depth is not None
    assert fitted.depth.shape == fitted.image.shape[:2] == (shape.height, shape.width)
    y, x = np.divmod(fitted.depth.astype(int) - 1, 1000)  # where the depth was taken from
    rows, columns = np.mgrid[: shape.height, : shape.width] + 0.5
    scale = fitted.intrinsics[0, 0] / frame.intrinsics[0, 0]
    back_x = (columns - fitted.intrinsics[0, 2]) / scale + frame.intrinsics[0, 2]
    back_y = (rows - fitted.intrinsics[1, 2]) / scale + frame.intrinsics[1, 2]
    np.testing.assert_array_less(np.abs(back_x - (x + 0.5)), 0.5 + 1e-6)
    np.testing.assert_array_less(np.abs(back_y - (y + 0.5)), 0.5 + 1e-6)


@pytest.mark.parametrize("extra_px", [0, 9])
def test_colours_lie_where_the_intrinsics_say(extra_px: int) -> None:
    frame = _frame(150, 200, centre=(104.8, 72.1))
    fitted = fit_frame(frame, Shape(64, 96), extra_px=extra_px)
    scale = fitted.intrinsics[0, 0] / frame.intrinsics[0, 0]
    columns = np.arange(96) + 0.5
    wanted = (columns - fitted.intrinsics[0, 2]) / scale + frame.intrinsics[0, 2] - 0.5
    np.testing.assert_allclose(fitted.image[32, :, 0], wanted, atol=0.6)


def test_pixels_stay_square_and_skew_is_scaled_along() -> None:
    frame = _frame(150, 200)
    frame.intrinsics[0, 1] = 4.0
    fitted = fit_frame(frame, Shape(75, 100))
    np.testing.assert_allclose(fitted.intrinsics, frame.intrinsics * [[0.5], [0.5], [1]])


def test_a_photo_of_the_right_size_is_left_as_it_is() -> None:
    frame = _frame(48, 64)
    fitted = fit_frame(frame, Shape(48, 64))
    np.testing.assert_array_equal(fitted.image, frame.image)
    np.testing.assert_array_equal(fitted.depth, frame.depth)
    np.testing.assert_array_equal(fitted.intrinsics, frame.intrinsics)


def test_extra_pixels_narrow_the_field_of_view() -> None:
    frame = _frame(96, 128)
    plain, zoomed = (fit_frame(frame, Shape(48, 64), extra_px=extra) for extra in (0, 48))
    assert zoomed.intrinsics[0, 0] == pytest.approx(2 * plain.intrinsics[0, 0])


def test_a_photo_without_depth_becomes_a_view_without_depth() -> None:
    frame = _frame(48, 64)
    bare = Frame("bare", frame.image, None, frame.intrinsics, frame.world_from_camera)
    assert fit_frame(bare, Shape(16, 16)).depth is None


def test_a_principal_point_near_the_edge_is_refused() -> None:
    frame = _frame(100, 200, centre=(30.0, 50.0))
    with pytest.raises(BrokenFrameError, match=r"photo: .*\(30\.0, 50\.0\) px of 200x100"):
        fit_frame(frame, Shape(32, 32))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(90, 120, Shape(32, 48)), (120, 90, Shape(48, 32)), (111, 100, Shape(48, 32))],
)
def test_shapes_lie_as_photos_do(height: int, width: int, expected: Shape) -> None:
    dice = np.random.default_rng(0)
    frame = _frame(height, width)
    assert oriented(Shape(32, 48), frame, dice) == expected
    assert oriented(Shape(48, 32), frame, dice) == expected


def test_square_photos_lie_either_way() -> None:
    dice = np.random.default_rng(0)
    seen = {oriented(Shape(32, 48), _frame(100, 105), dice) for _ in range(20)}
    assert seen == {Shape(32, 48), Shape(48, 32)}
