"""Still pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.export.framing import look_at
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.stills import depth_strip, render_still, write_still
from tests.scenes import make_scene, without_cameras

BACKGROUND = (246, 246, 244)


def painted(kinds: tuple[str, ...], color: tuple[int, int, int]) -> Reconstruction:
    scene = make_scene(kinds)
    rgb = torch.tensor(color, dtype=torch.uint8)
    views = [replace(v, pixels=rgb.expand_as(v.pixels).contiguous()) for v in scene.views]
    return replace(scene, views=views)


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
    image = render_still(painted(("landscape",) * 3, (0, 200, 0)), width=240, height=160)
    assert image.size == (240, 160)
    found = shares(np.array(image))
    assert found["green"] > 0.1
    assert found["orange"] > 0.003
    assert found["background"] > 0.2


def test_the_same_scene_gives_the_same_picture() -> None:
    one, other = (np.array(render_still(make_scene(), width=120, height=80)) for _ in range(2))
    assert np.array_equal(one, other)


def test_a_picture_from_a_camera_of_the_scene_shows_its_surfaces_in_place() -> None:
    scene = painted(("landscape",), (0, 200, 0))
    pose = scene.cameras[0].world_from_camera.clone()
    pose[:3, 3] -= 0.3 * pose[:3, 2]
    cloud = scene.point_cloud(min_conf_percentile=0)
    image = np.array(render_still(scene, width=120, height=80, world_from_camera=pose, cloud=cloud))
    assert shares(image)["green"] > 0.5


def test_surfaces_seen_from_behind_are_left_out() -> None:
    scene = painted(("landscape",), (0, 200, 0))
    pose = look_at(
        torch.tensor([0.0, 0, 15]), torch.tensor([0.0, 0, 5]), torch.tensor([0.0, -1, 0])
    )
    image = np.array(render_still(scene, width=120, height=80, world_from_camera=pose))
    assert shares(image)["green"] == 0
    assert shares(image)["orange"] > 0


def test_outlines_are_darker_than_flat_surfaces() -> None:
    scene = painted(("landscape",) * 3, (200, 200, 200))
    cloud = scene.point_cloud(min_conf_percentile=0, max_slant_deg=90)
    pose = scene.cameras[1].world_from_camera
    image = np.array(
        render_still(scene, width=240, height=160, world_from_camera=pose, cloud=cloud)
    )
    assert (image.max(axis=-1) < 180).mean() > 0.005
    assert np.median(image) == 200


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


def test_a_scene_without_cameras_is_refused() -> None:
    scene = without_cameras(make_scene(("landscape",)), 0)
    for draw in (render_still, depth_strip):
        with pytest.raises(ValueError, match="none of the 1 views has a camera"):
            draw(scene)


def test_a_still_is_written_as_a_picture(tmp_path: Path) -> None:
    write_still(make_scene(), tmp_path / "still.png")
    with Image.open(tmp_path / "still.png") as picture:
        assert picture.size == (1200, 800)
