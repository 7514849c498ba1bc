"""What a Reconstruction derives from its views, cameras and depth."""

from dataclasses import replace

import pytest
import torch

from fast3r.geometry.cameras import invert_rigid, pixel_grid, project, unproject
from fast3r.geometry.transforms import Similarity, rotation_exp
from fast3r.models.prediction import Pointmap
from fast3r.scene.reconstruction import Reconstruction, Scale
from tests.scenes import SETS, SPHERE_CENTRE, SPHERE_RADIUS, WALL_Z, make_scene, without_cameras

EVERYTHING = {"min_conf_percentile": 0.0, "max_slant_deg": 90.0, "margin": 0}


@pytest.mark.parametrize("kinds", SETS.values(), ids=SETS.keys())
def test_every_point_projects_onto_the_pixel_of_the_photo_it_came_from(
    kinds: tuple[str, ...],
) -> None:
    scene = make_scene(kinds)
    cloud = scene.point_cloud(**EVERYTHING)
    for i, _, camera in scene.posed_views():
        of_view = cloud.view_index == i
        pixels, _ = project(
            cloud.points[of_view], camera.intrinsics, invert_rigid(camera.world_from_camera)
        )
        assert (pixels - cloud.pixel[of_view]).abs().max() < 0.05


@pytest.mark.parametrize("kinds", SETS.values(), ids=SETS.keys())
def test_points_lie_on_the_surfaces_that_were_photographed(kinds: tuple[str, ...]) -> None:
    points = make_scene(kinds).point_cloud(**EVERYTHING).points
    to_wall = (points[:, 2] - WALL_Z).abs()
    to_sphere = ((points - torch.tensor(SPHERE_CENTRE)).norm(dim=-1) - SPHERE_RADIUS).abs()
    assert torch.minimum(to_wall, to_sphere).max() < 1e-4


def test_pixels_of_points_are_the_centres_of_the_network_pixels_in_the_photo() -> None:
    scene = make_scene(("cropped",))
    pixel = scene.point_cloud(**EVERYTHING).pixel.unflatten(0, (24, 24))
    torch.testing.assert_close(pixel[0, 0], torch.tensor([511 + 124.5 / 2, 125.25 / 2 - 3]))
    torch.testing.assert_close(pixel[2, 1], torch.tensor([511 + 124.5 * 1.5, 125.25 * 2.5 - 3]))


def test_world_points_keep_the_shape_of_the_photo_and_are_those_of_the_cloud() -> None:
    scene = make_scene()
    every = torch.cat([scene.world_points(i).flatten(0, 1) for i in scene.registered])
    torch.testing.assert_close(every, scene.point_cloud(**EVERYTHING).points)
    assert scene.world_points(1).shape == (32, 24, 3)


def test_network_intrinsics_unproject_the_depth_map_to_the_world_points() -> None:
    scene = make_scene(("cropped", "portrait"))
    for i, _, camera in scene.posed_views():
        lifted = unproject(scene.depth[i], scene.network_intrinsics(i), camera.world_from_camera)
        torch.testing.assert_close(lifted, scene.world_points(i), atol=1e-4, rtol=1e-5)


def test_colours_confidences_and_views_belong_to_their_points() -> None:
    scene = make_scene()
    cloud = scene.point_cloud(**EVERYTHING)
    colors = torch.cat([view.pixels.flatten(0, 1) for view in scene.views])
    assert torch.equal(cloud.colors, colors)
    assert torch.equal(cloud.confidence, torch.cat([c.flatten() for c in scene.confidence]))
    assert cloud.view_index.bincount().tolist() == [24 * 32, 32 * 24, 24 * 24, 24 * 32]


def test_unregistered_views_give_no_points() -> None:
    scene = without_cameras(make_scene(), 0, 2)
    assert scene.registered == [1, 3]
    assert scene.point_cloud().view_index.unique().tolist() == [1, 3]


@pytest.mark.parametrize("nothing", [0.0, -1.0, torch.inf, torch.nan])
def test_pixels_without_depth_give_no_points(nothing: float) -> None:
    scene = make_scene(("landscape",))
    scene.depth[0][3:5] = nothing
    cloud = scene.point_cloud(**EVERYTHING)
    assert len(cloud) == 22 * 32
    assert cloud.points.isfinite().all()
    assert not scene.valid(0)[3:5].any()


def test_masked_pixels_give_no_points() -> None:
    scene = make_scene(("landscape",))
    mask = torch.ones(24, 32, dtype=torch.bool)
    mask[:, :10] = False
    scene = replace(scene, views=[replace(scene.views[0], mask=mask)])
    assert scene.point_cloud(**EVERYTHING).pixel[:, 0].min() > 10 * 125


def test_the_percentile_is_taken_of_each_view_by_itself() -> None:
    scene = make_scene(("landscape", "landscape"))
    scene.confidence[1].mul_(100)
    cloud = scene.point_cloud(min_conf_percentile=25, max_slant_deg=90, margin=0)
    counts = cloud.view_index.bincount()
    assert counts.tolist() == [24 * 32 * 3 // 4] * 2


def test_min_confidence_holds_for_all_views() -> None:
    cloud = make_scene().point_cloud(min_confidence=4.0, **EVERYTHING)
    assert cloud.confidence.min() >= 4


def test_pixels_at_the_outline_of_an_object_are_left_out() -> None:
    scene = make_scene(("landscape",))
    kept = scene.point_cloud(min_conf_percentile=0, margin=0)
    dropped = scene.point_cloud(**EVERYTHING)
    on_sphere = scene.depth[0] < 3.8
    outline = torch.zeros_like(on_sphere)
    outline[:, 1:] |= on_sphere.diff(dim=1)
    outline[:, :-1] |= on_sphere.diff(dim=1)
    outline[1:] |= on_sphere.diff(dim=0)
    outline[:-1] |= on_sphere.diff(dim=0)
    assert len(dropped) - len(kept) == outline.sum() > 0


def test_the_slant_limit_does_not_depend_on_the_resolution() -> None:
    fine, coarse = make_scene(("landscape",)), make_scene(("landscape",))
    pixels = coarse.views[0].pixels[:12, :16]
    affine = fine.views[0].original_from_network @ torch.diag(torch.tensor([2.0, 2, 1]))
    view = replace(coarse.views[0], pixels=pixels, original_from_network=affine)
    # A wall turned away by 60 degrees, in both resolutions.
    depths = []
    for scale in (1, 2):
        x = (pixel_grid(24 // scale, 32 // scale)[..., 0] * 125 * scale - 2013) / 3200
        depths.append(4 / (1 - x * torch.tensor(torch.pi / 3).tan()))
    fine = replace(fine, depth=[depths[0]])
    coarse = Reconstruction(
        [view], coarse.cameras, [depths[1]], [depths[1].abs() + 1], [None], [], Scale()
    )
    for scene in (fine, coarse):
        options = {"min_conf_percentile": 0.0, "margin": 0}
        assert scene.valid(0)[:, 12 * scene.views[0].width // 32].all()
        middle = scene.valid(0).sum()
        assert len(scene.point_cloud(max_slant_deg=89.0, **options)) > 0.9 * middle
        few = len(scene.point_cloud(max_slant_deg=58.0, **options))
        assert few < 0.55 * middle


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_conf_percentile": 101.0}, r"min_conf_percentile must lie in \[0, 100\], got 101"),
        ({"max_slant_deg": 0.0}, r"max_slant_deg must lie in \(0, 90\], got 0"),
        ({"voxel": 0.0}, "voxel must be a positive length in world units, got 0"),
        ({"voxel": 1e-12}, "voxel 1e-12 is too small for a scene that extends over"),
        ({"max_points": 0}, "max_points must be at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_scene(("landscape",)).point_cloud(**options)


@pytest.mark.parametrize("options", [{"min_conf_percentile": -1}, {"margin": -1}])
def test_clouds_view_by_view_refuse_bad_options_before_the_first(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        make_scene().view_clouds(**options)


def test_clouds_view_by_view_are_the_cloud_of_the_scene_as_often_as_one_likes() -> None:
    scene = without_cameras(make_scene(), 1)
    options = {"min_confidence": 2.0, "min_conf_percentile": 20.0, "max_slant_deg": 80.0}
    clouds, whole = scene.view_clouds(**options), scene.point_cloud(**options)
    for _ in range(2):
        assert [c.view_index.unique().tolist() for c in clouds] == [[0], [2], [3]]
        assert torch.equal(torch.cat([c.points for c in clouds]), whole.points)
        assert clouds.num_points == len(whole)


def test_a_scene_without_cameras_says_so_and_why() -> None:
    scene = without_cameras(make_scene(("landscape",) * 2), 0, 1)
    with pytest.raises(ValueError, match=r"none of the 2 views has a camera.*IMG_0.*too few sure"):
        scene.point_cloud()
    with pytest.raises(ValueError, match=r"IMG_1\.jpg has no camera \(too few sure points\)"):
        scene.world_points(1)


def some_similarity(scale: float) -> Similarity:
    rotation = rotation_exp(torch.tensor([0.3, -1.2, 0.5], dtype=torch.float64))
    translation = torch.tensor([5.0, -7.0, 1.0], dtype=torch.float64)
    return Similarity(torch.tensor(scale, dtype=torch.float64), rotation, translation)


def test_transformed_moves_every_point_by_the_similarity() -> None:
    scene, similarity = make_scene(), some_similarity(2.5)
    moved = scene.transformed(similarity).point_cloud(**EVERYTHING)
    expected = similarity(scene.point_cloud(**EVERYTHING).points.double()).float()
    torch.testing.assert_close(moved.points, expected, atol=1e-4, rtol=1e-5)


def test_transformed_points_still_project_onto_their_pixels() -> None:
    scene = make_scene().transformed(some_similarity(2.5))
    cloud = scene.point_cloud()
    for i, _, camera in scene.posed_views():
        of_view = cloud.view_index == i
        pixels, _ = project(
            cloud.points[of_view], camera.intrinsics, invert_rigid(camera.world_from_camera)
        )
        assert (pixels - cloud.pixel[of_view]).abs().max() < 0.05


def test_transforming_back_gives_the_same_scene() -> None:
    scene, similarity = without_cameras(make_scene(), 1), some_similarity(0.2)
    back = scene.transformed(similarity).transformed(similarity.inverse())
    torch.testing.assert_close(back.depth[0], scene.depth[0])
    assert back.cameras[1] is None
    pose = back.cameras[2].world_from_camera
    torch.testing.assert_close(pose, scene.cameras[2].world_from_camera, atol=1e-5, rtol=1e-5)


def test_resizing_a_metric_scene_makes_its_scale_arbitrary_unless_told() -> None:
    scene = replace(make_scene(), scale=Scale("metric", "GPS"))
    assert scene.transformed(some_similarity(1.0)).scale == Scale("metric", "GPS")
    assert scene.transformed(some_similarity(2.0)).scale.kind == "arbitrary"
    told = Scale("metric", "a measured distance")
    assert scene.transformed(some_similarity(2.0), scale=told).scale == told


def test_lists_of_unequal_length_are_refused() -> None:
    scene = make_scene()
    with pytest.raises(AssertionError):
        replace(scene, depth=scene.depth[1:])


def test_the_margin_leaves_out_the_border_of_each_view() -> None:
    scene = make_scene(("landscape",))
    height, width = scene.depth[0].shape
    options = EVERYTHING | {"margin": 2}
    assert len(scene.point_cloud(**options)) == (height - 4) * (width - 4)
    with pytest.raises(ValueError, match="margin must not be negative, got -1"):
        scene.point_cloud(margin=-1)


def with_world_head(scene: Reconstruction) -> Reconstruction:
    """Return the scene with pointmaps whose points are those of the depth, shifted by a metre."""
    shift = torch.tensor([1.0, 0, 0])
    maps = [
        Pointmap(scene.world_points(i) + shift, scene.confidence[i] + 1)
        for i in range(len(scene.views))
    ]
    return replace(scene, world_pointmaps=maps)


def test_points_at_pixels_are_those_of_the_whole_view() -> None:
    scene = make_scene()
    pixels = torch.tensor([5, 0, 700, 5], dtype=torch.int32)
    expected = scene.world_points(0).flatten(0, 1)[pixels]
    torch.testing.assert_close(scene.points_at(0, pixels), expected)


def test_the_world_head_has_points_and_confidences_of_its_own() -> None:
    scene = with_world_head(make_scene())
    pixels = torch.arange(9)
    moved = scene.points_at(1, pixels, head="world") - scene.points_at(1, pixels)
    torch.testing.assert_close(moved, torch.tensor([1.0, 0, 0]).expand(9, 3))
    assert torch.equal(scene.confidence_of(1, head="world"), scene.confidence[1] + 1)


def test_a_world_head_that_was_not_kept_says_how_to_keep_it() -> None:
    with pytest.raises(ValueError, match="reconstruct with keep_world=True"):
        make_scene().points_at(0, torch.arange(2), head="world")


def test_transformed_moves_the_points_of_the_world_head_too() -> None:
    scene, map_ = with_world_head(make_scene()), some_similarity(2.5)
    moved = scene.transformed(map_).points_at(2, torch.arange(9), head="world")
    expected = map_(scene.points_at(2, torch.arange(9), head="world").to(map_.scale))
    torch.testing.assert_close(moved, expected.float())
