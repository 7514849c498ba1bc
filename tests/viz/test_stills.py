"""Still pictures."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.export.framing import look_at
from fast3r.geometry.cameras import invert_rigid, pinhole, project
from fast3r.scene.point_cloud import PointCloud, concatenate
from fast3r.viz.lettering import TEXT_COLOR
from fast3r.viz.stills import depth_strip, render_still, write_still
from tests.scenes import make_scene, without_cameras
from tests.viz.pages import painted

BACKGROUND = (246, 246, 244)


def shares(image: np.ndarray) -> dict[str, float]:
    """Return which shares of a picture are background, greenish and orange."""
    red, green, blue = image.reshape(-1, 3).astype(int).T
    background = (image.reshape(-1, 3) == BACKGROUND).all(axis=-1)
    return {
        "background": background.mean(),
        "green": (green > 2 * red.clip(1)).mean(),
        "orange": ((red > 150) & (blue < 90) & (green < 140)).mean(),
    }


def test_the_picture_shows_the_points_and_the_cameras_on_a_light_ground() -> None:
    image = render_still(painted((0, 200, 0)), width=240, height=160)
    assert image.size == (240, 160)
    found = shares(np.array(image))
    assert found["green"] > 0.1
    assert found["orange"] > 0.003
    assert found["background"] > 0.2


def test_the_same_scene_gives_the_same_picture() -> None:
    one, other = (np.array(render_still(make_scene(), width=120, height=80)) for _ in range(2))
    assert np.array_equal(one, other)


def test_a_picture_from_a_camera_of_the_scene_shows_its_surfaces_in_place() -> None:
    scene = painted((0, 200, 0), ("landscape",))
    pose = scene.cameras[0].world_from_camera.clone()
    pose[:3, 3] -= 0.3 * pose[:3, 2]
    cloud = scene.point_cloud(min_conf_percentile=0)
    image = np.array(render_still(scene, width=120, height=80, world_from_camera=pose, cloud=cloud))
    assert shares(image)["green"] > 0.5


def test_surfaces_seen_from_behind_are_left_out() -> None:
    scene = painted((0, 200, 0), ("landscape",))
    pose = look_at(
        torch.tensor([0.0, 0, 15]), torch.tensor([0.0, 0, 5]), torch.tensor([0.0, -1, 0])
    )
    image = np.array(render_still(scene, width=120, height=80, world_from_camera=pose))
    assert shares(image)["green"] == 0
    assert shares(image)["orange"] > 0


def test_outlines_are_darker_than_flat_surfaces() -> None:
    scene = painted((200, 200, 200))
    cloud = scene.point_cloud(min_conf_percentile=0, max_slant_deg=90)
    pose = scene.cameras[1].world_from_camera
    image = np.array(
        render_still(scene, width=240, height=160, world_from_camera=pose, cloud=cloud)
    )
    assert (image.max(axis=-1) < 180).mean() > 0.005
    assert np.median(image) > 195


def test_the_strip_has_a_row_of_three_pictures_for_each_view() -> None:
    strip = depth_strip(make_scene(("landscape",) * 3), height=48)
    assert strip.size == (3 * 64, 3 * 48)


def test_the_strip_takes_views_evenly_and_only_registered_ones() -> None:
    scene = without_cameras(make_scene(("landscape",) * 7), 0)
    views = [
        replace(v, pixels=torch.full_like(v.pixels, 30 * i)) for i, v in enumerate(scene.views)
    ]
    strip = np.array(depth_strip(replace(scene, views=views), max_views=3, height=24))
    assert strip[12::24, 8].tolist() == [[30] * 3, [90] * 3, [150] * 3]


def test_near_is_bright_and_no_depth_is_grey_in_the_strip() -> None:
    scene = make_scene(("landscape",))
    scene.depth[0][:, :4] = 0
    strip = np.array(depth_strip(scene, height=24)).astype(int)
    depth_picture = strip[:, 32:64]
    assert (depth_picture[:, :3] == 200).all()
    near = scene.depth[0] < 3.8
    bright = depth_picture.sum(axis=-1)
    assert bright[near].mean() > bright[(~near) & (scene.depth[0] > 0)].mean() + 100


def test_views_of_different_shapes_share_a_strip() -> None:
    strip = depth_strip(make_scene(), height=48)
    assert strip.size == (3 * 64, 4 * 48)


def test_rows_of_the_strip_can_be_named() -> None:
    scene = painted((0, 0, 0), ("landscape",) * 2)
    plain, named = (np.array(depth_strip(scene, show_names=shown)) for shown in (False, True))
    changed = (plain != named).any(axis=-1)
    assert changed[:20].any()
    assert changed[160:180].any()
    assert not changed[40:160].any()


def ball(place: list[float], color: tuple[int, int, int]) -> PointCloud:
    """Return the points of a ball of radius 0.2, seen by the first camera."""
    generator = torch.Generator().manual_seed(0)
    offsets = torch.nn.functional.normalize(torch.randn(3000, 3, generator=generator), dim=1)
    return PointCloud(
        points=torch.tensor(place) + 0.2 * offsets,
        colors=torch.tensor(color, dtype=torch.uint8).expand(3000, 3),
        confidence=torch.full((3000,), 2.0),
        view_index=torch.zeros(3000, dtype=torch.long),
        pixel=torch.full((3000, 2), 2000.0),
    )


def pixel_of(place: list[float], pose: torch.Tensor, width: int, height: int) -> tuple[int, int]:
    """Return row and column of a place in a still of that size."""
    focal_px = height / 2 / math.tan(math.radians(45) / 2)
    intrinsics = pinhole(torch.tensor(focal_px), height, width)
    pixel, _ = project(torch.tensor([place]), intrinsics, invert_rigid(pose))
    column, row = pixel[0].floor().int().tolist()
    return row, column


@pytest.mark.parametrize("place", [[0.3, -0.2, 4.0], [-0.8, 0.5, 3.0]])
def test_a_ball_appears_where_the_camera_has_it_and_nowhere_else(place: list[float]) -> None:
    scene = make_scene(("landscape",))
    pose = torch.eye(4)
    still = render_still(
        scene,
        width=300,
        height=200,
        world_from_camera=pose,
        cloud=ball(place, (0, 0, 255)),
        show_cameras=False,
    )
    picture = np.array(still).astype(int)
    blue = picture[..., 2] > picture[..., 0] + 100
    rows, columns = blue.nonzero()
    row, column = pixel_of(place, pose, 300, 200)
    assert (rows.mean(), columns.mean()) == pytest.approx((row, column), abs=1.5)
    radius_px = 0.2 / place[2] * 100 / math.tan(math.radians(45) / 2)
    # The discs of the outline reach a little further than their points.
    assert radius_px - 1 < np.sqrt(blue.sum() / math.pi) < radius_px + 12
    assert picture[row, column].argmax() == 2


def test_the_nearer_ball_hides_the_farther() -> None:
    scene = make_scene(("landscape",))
    for near, far in (((255, 0, 0), (0, 0, 255)), ((0, 0, 255), (255, 0, 0))):
        cloud = concatenate([ball([0.0, 0, 4.5], far), ball([0.0, 0, 3], near)])
        still = render_still(
            scene, width=150, height=100, world_from_camera=torch.eye(4), cloud=cloud
        )
        assert still.getpixel((75, 50)) == near


def test_larger_points_cover_more() -> None:
    cloud = ball([0.0, 0, 4], (0, 0, 255)).take(torch.arange(0, 3000, 60))
    covered = [
        shares(
            np.array(
                render_still(
                    make_scene(("landscape",)),
                    width=300,
                    height=200,
                    world_from_camera=torch.eye(4),
                    cloud=cloud,
                    point_size=size,
                    show_cameras=False,
                )
            )
        )["background"]
        for size in (0.02, 0.1)
    ]
    assert covered[0] > covered[1] + 0.002


def test_cameras_can_be_left_out() -> None:
    scene = painted((0, 200, 0))
    image = render_still(scene, width=240, height=160, show_cameras=False)
    assert shares(np.array(image))["orange"] == 0


@pytest.mark.parametrize(("width", "height"), [(400, 200), (200, 400)])
def test_the_points_fill_the_picture_without_being_cut(width: int, height: int) -> None:
    scene = painted((0, 200, 0))
    picture = np.array(render_still(scene, width=width, height=height))
    used = (picture != BACKGROUND).any(axis=-1)
    rows, columns = used.any(axis=1).nonzero()[0], used.any(axis=0).nonzero()[0]
    filled = max(np.ptp(rows) / height, np.ptp(columns) / width)
    assert 0.85 < filled < 1


def test_colours_that_need_words_get_them() -> None:
    scene = painted((0, 200, 0))
    plain = np.array(render_still(scene, width=240, height=160))
    legend = np.array(render_still(scene, width=240, height=160, color_by="view"))
    is_text = [(image[130:, :120] == TEXT_COLOR).all(axis=-1).sum() for image in (plain, legend)]
    assert is_text[0] == 0
    assert is_text[1] > 20


@pytest.mark.parametrize(("width", "height"), [(8, 100), (100, 9000)])
def test_pictures_of_impossible_size_are_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=rf"must lie in \[16, 8192\] px, got {width}x{height}"):
        render_still(make_scene(), width=width, height=height)


def test_points_without_size_are_refused() -> None:
    with pytest.raises(ValueError, match="point_size must be positive, got 0"):
        render_still(make_scene(), point_size=0.0)


def test_a_scene_without_points_says_so() -> None:
    scene = make_scene(("landscape",))
    scene.depth[0][:] = 0
    with pytest.raises(ValueError, match="no point is left to draw"):
        render_still(scene)


def test_a_scene_without_cameras_is_refused() -> None:
    scene = without_cameras(make_scene(("landscape",)), 0)
    for draw in (render_still, depth_strip):
        with pytest.raises(ValueError, match="none of the 1 views has a camera"):
            draw(scene)


def test_a_still_is_written_as_a_picture(tmp_path: Path) -> None:
    write_still(make_scene(), tmp_path / "still.png")
    with Image.open(tmp_path / "still.png") as picture:
        assert picture.size == (1200, 800)
