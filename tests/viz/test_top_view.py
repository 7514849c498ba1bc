"""Maps of scenes, seen from above."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.viz.top_view import render_top_view
from tests.scenes import make_scene, without_cameras

BACKGROUND = (246, 246, 244)


def upright(centres: list[list[float]]) -> Reconstruction:
    """Return a scene whose cameras look straight along z, upright, before a grey wall."""
    scene = make_scene(("landscape",) * len(centres))
    cameras, views = [], []
    for camera, view, centre in zip(scene.cameras, scene.views, centres, strict=True):
        pose = torch.eye(4)
        pose[:3, 3] = torch.tensor(centre)
        cameras.append(replace(camera, world_from_camera=pose))
        views.append(replace(view, pixels=torch.full_like(view.pixels, 120)))
    depth = [torch.full_like(d, 4.0) for d in scene.depth]
    return replace(scene, cameras=cameras, views=views, depth=depth)


THREE = upright([[-1.0, 0.0, 0.0], [0.0, 0.3, 0.0], [1.0, -0.2, 1.0]])


def centres_of(scene: Reconstruction) -> torch.Tensor:
    return torch.stack([c.world_from_camera[:3, 3] for _, _, c in scene.posed_views()])


def orange(picture: Image.Image) -> np.ndarray:
    red, green, blue = np.moveaxis(np.asarray(picture, dtype=int), -1, 0)
    return (red > 180) & (green < 140) & (blue < 110)


def test_each_camera_is_marked_at_its_place() -> None:
    view = render_top_view(THREE, width=500, height=400)
    marked = orange(view.picture)
    for column, row in view.place(centres_of(THREE)).round().int().tolist():
        assert marked[row - 1 : row + 2, column - 1 : column + 2].mean() > 0.7


def test_right_on_the_map_is_right_of_the_cameras_and_up_is_ahead() -> None:
    left, middle, right = render_top_view(THREE).place(centres_of(THREE)).tolist()
    assert left[0] < middle[0] < right[0]
    assert left[1] == pytest.approx(middle[1], abs=1e-3)
    assert right[1] < middle[1] - 10


def test_height_does_not_matter_and_lengths_keep_their_proportions() -> None:
    places = render_top_view(THREE).place(centres_of(THREE))
    one, other = (places[1] - places[0]).norm(), (places[2] - places[1]).norm()
    assert (other / one).item() == pytest.approx(2**0.5, rel=1e-4)


def test_all_cameras_and_nearly_all_points_are_on_the_map() -> None:
    scene = make_scene()
    view = render_top_view(scene, width=400, height=500)
    for points, share in ((centres_of(scene), 1.0), (scene.point_cloud().points, 0.98)):
        places = view.place(points)
        inside = ((places > 0) & (places < torch.tensor([400, 500]))).all(dim=-1)
        assert inside.float().mean() >= share


def spot(place: list[float], color: list[int], count: int) -> PointCloud:
    points = torch.tensor(place) + torch.linspace(-0.15, 0.15, count)[:, None]
    rgb = torch.tensor(color, dtype=torch.uint8).expand(count, 3)
    index = torch.zeros(count, dtype=torch.long)
    return PointCloud(points, rgb, torch.full((count,), 2.0), index, torch.full((count, 2), 1500.0))


def test_points_have_their_colour_where_they_lie() -> None:
    place = [0.5, 0.0, 3.0]
    view = render_top_view(THREE, width=500, height=400, cloud=spot(place, [0, 0, 200], 500))
    column, row = view.place(torch.tensor([place])).round().int()[0].tolist()
    red, green, blue = np.asarray(view.picture, dtype=int)[row, column]
    assert blue > max(red, green) + 40


def test_the_more_points_the_less_of_the_ground_is_seen() -> None:
    many, few = [-0.5, 0.0, 3.0], [0.5, 0.0, 3.0]
    clouds = [spot(many, [0, 0, 0], 3000), spot(few, [0, 0, 0], 8)]
    columns = [torch.cat(pair) for pair in zip(*(vars(c).values() for c in clouds), strict=True)]
    view = render_top_view(THREE, width=500, height=400, cloud=PointCloud(*columns))
    picture = np.asarray(view.picture, dtype=int).sum(axis=-1)
    dark = [
        picture[row - 8 : row + 9, column - 8 : column + 9].mean()
        for column, row in view.place(torch.tensor([many, few])).round().int().tolist()
    ]
    assert dark[0] < dark[1] - 20


def test_names_are_listed_beside_the_map_where_there_is_room() -> None:
    wide = np.asarray(render_top_view(THREE, width=700, height=400).picture)
    assert (wide[:, 500:] != BACKGROUND).any()
    many = upright([[0.1 * k, 0.0, 0.0] for k in range(30)])
    low = np.asarray(render_top_view(many, width=700, height=300).picture)
    assert (low[:, 600:] == BACKGROUND).mean() < (wide[:, 600:] == BACKGROUND).mean()


def test_numbers_are_those_of_the_views_not_of_the_cameras() -> None:
    lost_first = without_cameras(THREE, 0)
    kept = replace(
        lost_first,
        **{
            name: getattr(lost_first, name)[1:]
            for name in ("views", "cameras", "depth", "confidence", "failures")
        },
    )
    one, other = (
        np.asarray(render_top_view(s, width=500, height=400).picture) for s in (lost_first, kept)
    )
    assert (one != other).any()
    assert (one == other).all(axis=-1).mean() > 0.99


def test_the_map_says_how_many_photos_it_shows_if_some_are_missing() -> None:
    whole = np.asarray(render_top_view(THREE, width=500, height=400).picture)
    part = np.asarray(render_top_view(without_cameras(THREE, 1), width=500, height=400).picture)
    assert (whole[8:24, 12:100] == BACKGROUND).all()
    assert (part[8:24, 12:100] != BACKGROUND).any()


def test_the_scale_bar_is_in_metres_only_where_the_scene_is() -> None:
    metric = replace(THREE, scale=Scale("metric"))
    one, other = (
        np.asarray(render_top_view(s, width=500, height=400).picture) for s in (THREE, metric)
    )
    changed = (one != other).any(axis=-1)
    assert changed[360:, 300:].any()
    assert not changed[:360].any()


def test_cameras_that_look_straight_down_have_a_map() -> None:
    pose = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, -3], [0, -1, 0, 0], [0, 0, 0, 1]])
    scene = upright([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    cameras = []
    for k, camera in enumerate(scene.cameras):
        moved = pose.clone()
        moved[0, 3] = k
        cameras.append(replace(camera, world_from_camera=moved))
    scene = replace(scene, cameras=cameras)
    view = render_top_view(scene, width=400, height=300)
    assert orange(view.picture).sum() > 100


def test_the_same_scene_gives_the_same_map() -> None:
    one, other = (render_top_view(make_scene()).picture.tobytes() for _ in range(2))
    assert one == other


def test_names_of_any_script_do_no_harm() -> None:
    views = [replace(v, name=f"写真/{'x' * 80}{k}.jpg") for k, v in enumerate(THREE.views)]
    assert render_top_view(replace(THREE, views=views)).picture.size == (960, 720)


def test_scenes_without_cameras_or_points_say_so() -> None:
    scene = make_scene(("landscape",))
    with pytest.raises(ValueError, match="none of the 1 views has a camera"):
        render_top_view(without_cameras(scene, 0))
    scene.depth[0][:] = 0
    with pytest.raises(ValueError, match="no point is left to draw"):
        render_top_view(scene)
