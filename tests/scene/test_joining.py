"""How two scenes with photos in common lie to each other."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fast3r.geometry.transforms import Similarity, rotation_angle_deg, rotation_exp
from fast3r.scene.joining import Joint, join
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.fitting import fit_view
from tests.scene.corner import HEIGHT, WIDTH, a_corner, shaken
from tests.scenes import make_scene, without_cameras

A_FROM_B = Similarity(
    torch.tensor(0.4, dtype=torch.float64),
    rotation_exp(torch.tensor([0.3, -1.1, 2.0], dtype=torch.float64)),
    torch.tensor([3.0, -20.0, 5.0], dtype=torch.float64),
)
ALL = [(i, i) for i in range(5)]


def two_scenes() -> tuple[Reconstruction, Reconstruction]:
    """Return a scene, and the same in a world from which A_FROM_B leads back."""
    scene = a_corner().scene()
    return scene, scene.transformed(A_FROM_B.inverse())


def assert_finds_the_map(joint: Joint, *, places: float = 1e-4) -> None:
    assert joint.reason is None
    torch.testing.assert_close(joint.a_from_b.matrix, A_FROM_B.matrix, rtol=places, atol=places)


def with_depth(scene: Reconstruction, depth: list[Tensor]) -> Reconstruction:
    return replace(scene, depth=depth)


def without_depth(scene: Reconstruction) -> Reconstruction:
    return with_depth(scene, [torch.zeros_like(depth) for depth in scene.depth])


def noisy(
    scene: Reconstruction, relative: float, *, outliers: float = 0.0, seed: int = 1
) -> Reconstruction:
    random = torch.Generator().manual_seed(seed)
    depth = []
    for clean in scene.depth:
        factor = (relative * torch.randn(clean.shape, generator=random)).exp()
        wild = torch.rand(clean.shape, generator=random) < outliers
        factor[wild] = 0.2 + 4 * torch.rand(int(wild.sum()), generator=random)
        depth.append(clean * factor)
    return with_depth(scene, depth)


def test_the_map_between_two_worlds_is_found_from_all_views() -> None:
    a, b = two_scenes()
    joint = join(a, b, ALL)
    assert_finds_the_map(joint)
    assert joint.inlier_ratio == pytest.approx(1)
    assert joint.residual < 1e-5
    assert joint.rotation_deg < 1e-3
    assert joint.views == 5


def test_one_shared_view_is_enough() -> None:
    a, b = two_scenes()
    joint = join(a, b, [(2, 2)])
    assert_finds_the_map(joint)
    assert joint.views == 1


def test_pairs_may_be_of_different_places_in_the_two_lists() -> None:
    a, b = two_scenes()
    backwards = Reconstruction(
        b.views[::-1], b.cameras[::-1], b.depth[::-1], b.confidence[::-1], b.failures, [], b.scale
    )
    assert_finds_the_map(join(a, backwards, [(i, 4 - i) for i in range(5)]))


def test_photos_of_another_network_size_meet_through_the_original_photo() -> None:
    a, b = two_scenes()
    views = [fit_view(view, size=120, patch=8) for view in b.views]
    shape = (views[0].height, views[0].width)
    assert shape != (HEIGHT, WIDTH)
    depth = []
    for view, large in zip(views, b.depth, strict=True):
        rows = torch.arange(shape[0]) + 0.5
        columns = torch.arange(shape[1]) + 0.5
        affine = view.original_from_network
        row = (rows * affine[1, 1] + affine[1, 2]).long()
        column = (columns * affine[0, 0] + affine[0, 2]).long()
        depth.append(large[row[:, None], column])
    confidence = [torch.ones(shape) for _ in views]
    small = replace(b, views=views, depth=depth, confidence=confidence)
    # Depth is taken half a small pixel beside its place, at worst.
    assert_finds_the_map(join(a, small, ALL), places=0.02)
    back = join(small, a, ALL)
    assert_finds_the_map(replace(back, a_from_b=back.a_from_b.inverse()), places=0.02)


def test_noise_averages_out_and_shrinks_neither_scene() -> None:
    a, b = two_scenes()
    joint = join(noisy(a, 0.05, seed=2), noisy(b, 0.05), ALL)
    assert joint.a_from_b.scale == pytest.approx(0.4, rel=2e-3)
    assert rotation_angle_deg(joint.a_from_b.rotation, A_FROM_B.rotation) < 0.1
    # The median of two such errors together, along rays that are a little longer than the depth.
    assert joint.residual == pytest.approx(0.6745 * 0.05 * 2**0.5, rel=0.15)


def test_there_and_back_leads_to_where_one_began() -> None:
    a, b = two_scenes()
    a, b = noisy(a, 0.05, seed=2), noisy(b, 0.1)
    there, back = join(a, b, ALL).a_from_b, join(b, a, ALL).a_from_b
    torch.testing.assert_close((there @ back).matrix, torch.eye(4).double(), rtol=0, atol=2e-3)


def test_a_third_of_wild_points_moves_nothing() -> None:
    a, b = two_scenes()
    joint = join(a, noisy(b, 0.0, outliers=1 / 3), ALL)
    assert_finds_the_map(joint)
    assert 0.6 < joint.inlier_ratio < 0.75


def test_a_view_whose_camera_went_astray_is_outvoted() -> None:
    a, b = two_scenes()
    camera = b.camera(1)
    pose = camera.world_from_camera.clone()
    pose[:3, :3] = rotation_exp(torch.tensor([0.0, 1.0, 0.0])) @ pose[:3, :3]
    astray = replace(
        b, cameras=[b.cameras[0], replace(camera, world_from_camera=pose), *b.cameras[2:]]
    )
    assert_finds_the_map(join(a, astray, ALL))


def test_confidence_decides_between_views_that_disagree() -> None:
    a, b = two_scenes()
    lost = shaken(b, turned_deg=40.0, moved=2.0)
    confidence = [torch.full((HEIGHT, WIDTH), 50.0 if i == 0 else 1.0) for i in range(5)]
    assert_finds_the_map(join(a, replace(lost, confidence=confidence), ALL))


def test_cameras_alone_tell_the_map_where_there_is_no_depth() -> None:
    a, b = two_scenes()
    joint = join(a, without_depth(b), ALL)
    assert_finds_the_map(joint)
    assert joint.inlier_ratio == 1


def test_a_view_without_points_beside_others_breaks_nothing() -> None:
    a, b = two_scenes()
    depth = [torch.zeros_like(b.depth[0]), *b.depth[1:]]
    joint = join(a, with_depth(b, depth), ALL)
    assert_finds_the_map(joint)
    assert joint.views == 5


def test_one_view_without_points_has_no_scale() -> None:
    a, b = two_scenes()
    joint = join(a, without_depth(b), [(0, 0)])
    assert joint.a_from_b is None
    assert "nothing tells the scale" in str(joint.reason)


def test_points_on_a_line_are_helped_by_the_cameras() -> None:
    a, b = two_scenes()
    depth = [torch.zeros_like(d) for d in b.depth]
    depth[0][90] = b.depth[0][90]
    depth[3][20:25] = b.depth[3][20:25]
    assert_finds_the_map(join(a, with_depth(b, depth), [(0, 0)]))


def test_scenes_of_other_shapes_are_not_joined() -> None:
    a, b = two_scenes()
    random = torch.Generator().manual_seed(2)
    depth = [d * (1.5 * torch.randn(d.shape, generator=random)).exp() for d in b.depth]
    joint = join(a, with_depth(b, depth), ALL)
    assert joint.a_from_b is None
    assert "25% are needed" in str(joint.reason)
    assert 0 < joint.inlier_ratio < 0.25


def test_without_a_shared_camera_the_reason_is_told() -> None:
    scene = make_scene()
    lost = without_cameras(scene, 0, 1)
    assert join(scene, lost, [(0, 0), (1, 1)]).reason == (
        "none of the 2 shared views has a camera in both scenes"
    )
    nothing = join(scene, scene, [])
    assert nothing.reason == "the scenes share no view"
    assert math.isnan(nothing.residual)


def test_a_world_far_from_its_origin_costs_no_digits() -> None:
    a, b = two_scenes()
    far = Similarity(torch.tensor(1.0), torch.eye(3), torch.tensor([4e4, -3e4, 500.0]))
    joint = join(a.transformed(far), b, ALL)
    # The cameras themselves are kept in float32, which is exact to 4 mm at 40 km.
    turned = rotation_angle_deg(joint.a_from_b.rotation, A_FROM_B.rotation)
    assert turned < 0.1
    assert joint.a_from_b.scale == pytest.approx(0.4, rel=1e-3)


def test_equal_seeds_give_equal_results() -> None:
    a, b = two_scenes()
    b = noisy(b, 0.1)
    first, second = join(a, b, ALL, seed=3), join(a, b, ALL, seed=3)
    assert torch.equal(first.a_from_b.matrix, second.a_from_b.matrix)
    assert first.inlier_ratio == second.inlier_ratio


def test_photos_of_other_sizes_are_refused() -> None:
    scene = make_scene()
    with pytest.raises(ValueError, match=r"must be of one photo, but day0/IMG_0.jpg has 4000x3000"):
        join(scene, scene, [(0, 1)])
