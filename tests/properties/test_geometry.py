"""What holds of any camera, motion and lens."""

import torch
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from torch import Tensor

from fast3r.geometry.alignment import align_local_to_world
from fast3r.geometry.cameras import (
    intrinsics_through,
    invert_rigid,
    pinhole,
    pixel_grid,
    project,
    rays_through,
    unproject,
)
from fast3r.geometry.focal import estimate_focal
from fast3r.geometry.lenses import PARAMETERS, Lens
from fast3r.geometry.poses import solve_poses
from fast3r.geometry.transforms import (
    Similarity,
    fit_similarity,
    matrix_from_quaternion,
    nearest_rotation,
    quaternion_from_matrix,
    rotation_angle_deg,
    rotation_exp,
    rotation_log,
)
from tests.geometry.synthetic import posed_points
from tests.properties.given import generators, intrinsics, poses, rotations, similarities


def close(a: Tensor, b: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# --- cameras ---------------------------------------------------------------------------------


@given(intrinsics(), poses(), generators())
def test_projecting_undoes_unprojecting(
    camera: Tensor, world_from_camera: Tensor, generator: torch.Generator
) -> None:
    depth = 0.1 + 10 * torch.rand(6, 8, generator=generator, dtype=torch.float64)
    points = unproject(depth, camera, world_from_camera)
    pixels, found = project(points.flatten(0, 1), camera, invert_rigid(world_from_camera))
    close(found.unflatten(0, (6, 8)), depth, 1e-7)
    close(pixels.unflatten(0, (6, 8)), pixel_grid(6, 8).double(), 1e-6)


@given(intrinsics(), st.floats(0.1, 10), st.floats(-30, 30), st.floats(-30, 30))
def test_moving_the_pixels_moves_the_intrinsics_along(
    camera: Tensor, pitch: float, x: float, y: float
) -> None:
    moved_from_here = torch.tensor([[pitch, 0, x], [0, pitch, y], [0, 0, 1]], dtype=torch.float64)
    pixels = pixel_grid(4, 5).double().flatten(0, 1)
    moved = pitch * pixels + torch.tensor([x, y], dtype=torch.float64)
    close(
        rays_through(moved, intrinsics_through(moved_from_here, camera)),
        rays_through(pixels, camera),
        1e-6,
    )


@given(poses(), poses())
def test_the_inverse_of_a_product_of_poses_is_that_of_the_inverses(a: Tensor, b: Tensor) -> None:
    close(invert_rigid(a @ b), invert_rigid(b) @ invert_rigid(a))
    close(invert_rigid(invert_rigid(a)), a)
    close(a @ invert_rigid(a), torch.eye(4, dtype=torch.float64), 1e-8)


# --- similarities ----------------------------------------------------------------------------


@given(similarities(), generators())
def test_a_similarity_and_its_inverse_undo_each_other(
    target_from_source: Similarity, generator: torch.Generator
) -> None:
    points = normal(generator, 7, 3)
    close(target_from_source.inverse()(target_from_source(points)), points, 1e-7)
    close(
        (target_from_source.inverse() @ target_from_source).matrix,
        torch.eye(4, dtype=torch.float64),
        1e-7,
    )


@given(similarities(), similarities(), similarities(), generators())
def test_similarities_compose_as_their_matrices_do(
    a: Similarity, b: Similarity, c: Similarity, generator: torch.Generator
) -> None:
    points = normal(generator, 5, 3)
    close((a @ b)(points), a(b(points)), 1e-7)
    torch.testing.assert_close(((a @ b) @ c).matrix, (a @ (b @ c)).matrix, rtol=1e-9, atol=1e-6)
    torch.testing.assert_close((a @ b).matrix, a.matrix @ b.matrix, rtol=1e-9, atol=1e-6)


@given(similarities(), st.integers(3, 40), generators())
def test_fitting_finds_the_similarity_that_made_the_target(
    truth: Similarity, count: int, generator: torch.Generator
) -> None:
    source = normal(generator, count, 3)
    # Three points may all but lie on a line.
    assume(torch.linalg.svdvals(source - source.mean(dim=0))[1] > 0.1)
    weights = 0.1 + torch.rand(count, generator=generator).double()
    found = fit_similarity(source, truth(source), weights)
    close(found.matrix, truth.matrix, 1e-6)


# --- rotations -------------------------------------------------------------------------------


@given(rotations())
def test_a_rotation_comes_back_from_every_way_of_writing_it(rotation: Tensor) -> None:
    close(matrix_from_quaternion(quaternion_from_matrix(rotation)), rotation)
    close(rotation_exp(rotation_log(rotation)), rotation, 1e-7)
    close(nearest_rotation(3 * rotation), rotation)


@given(rotations(), rotations())
def test_the_angle_between_rotations_does_not_depend_on_the_frame(a: Tensor, b: Tensor) -> None:
    angle = rotation_angle_deg(a, b)
    assert 0 <= angle <= 180.0001
    close(rotation_angle_deg(b, a), angle, 1e-5)
    close(rotation_angle_deg(a.mT @ b, torch.eye(3, dtype=torch.float64)), angle, 1e-5)


# --- solvers ---------------------------------------------------------------------------------


@settings(max_examples=4)
@given(similarities())
def test_moving_and_scaling_the_world_moves_the_poses_along(moved_from_world: Similarity) -> None:
    sights = posed_points(views=2, count=400, outliers=0.2, noise=0.002)
    here = solve_poses(sights.points, sights.pixels, sights.intrinsics)
    each = Similarity(
        *(
            part.float().expand(2, *part.shape)
            for part in (
                moved_from_world.scale,
                moved_from_world.rotation,
                moved_from_world.translation,
            )
        )
    )
    there = solve_poses(each(sights.points), sights.pixels, sights.intrinsics)
    assert there.registered.all()
    wanted = each.rotation @ here.world_from_camera[:, :3, :3]
    assert rotation_angle_deg(there.world_from_camera[:, :3, :3], wanted).max() < 0.05
    shift = there.world_from_camera[:, :3, 3] - each(here.world_from_camera[:, None, :3, 3])[:, 0]
    assert (shift.norm(dim=-1) / each.scale).max() < 0.01


@settings(max_examples=8)
@given(st.floats(40, 300), st.floats(-3, 3), generators())
def test_the_unit_of_the_points_does_not_change_the_focal_length(
    focal_px: float, log_scale: float, generator: torch.Generator
) -> None:
    depth = 1 + torch.rand(1, 24, 32, generator=generator)
    points = unproject(depth, pinhole(torch.tensor([focal_px]), 24, 32))
    points = points + 0.002 * torch.randn(points.shape, generator=generator)
    here, there = estimate_focal(points), estimate_focal(points * 10**log_scale)
    torch.testing.assert_close(there, here, rtol=1e-3, atol=0)
    torch.testing.assert_close(here, torch.tensor([focal_px]), rtol=0.05, atol=0)


@settings(max_examples=5)
@given(similarities(), generators())
def test_alignment_finds_the_similarity_among_outliers(
    truth: Similarity, generator: torch.Generator
) -> None:
    local = normal(generator, 1, 300, 3)
    world = truth(local[0])[None]
    world[:, :60] += 5 * truth.scale * normal(generator, 1, 60, 3)
    found = align_local_to_world(local.float(), world.float())
    assert found.aligned.all()
    moved = found.world_from_local(local[:, 60:].float()) - world[:, 60:]
    assert moved.norm(dim=-1).max() < 1e-3 * truth.scale + 1e-4


# --- lenses ----------------------------------------------------------------------------------


@given(
    st.sampled_from(sorted(PARAMETERS)),
    st.floats(350, 900),
    st.lists(st.floats(-0.03, 0.03), min_size=8, max_size=8),
    generators(),
)
def test_a_lens_takes_each_pixel_to_its_ray_and_back(
    model: str, focal_px: float, coefficients: list[float], generator: torch.Generator
) -> None:
    plain = {"f": focal_px, "fx": focal_px, "fy": 1.1 * focal_px, "cx": 322.0, "cy": 238.0}
    small = {"p1": 0.05, "p2": 0.05}
    spare = iter(coefficients)
    values = (
        plain[name] if name in plain else small.get(name, 1.0) * next(spare)
        for name in PARAMETERS[model]
    )
    try:
        lens = Lens(model, tuple(values), 640, 480)
    except ValueError:  # It folds over inside the photo.
        reject()
    size = torch.tensor([640, 480], dtype=torch.float64)
    pixels = torch.rand(60, 2, generator=generator, dtype=torch.float64) * size
    rays = lens.undistort(pixels)
    shown = rays.isfinite().all(dim=-1)
    assert shown.any()
    close(lens.distort(2.5 * rays[shown]), pixels[shown], 1e-6)
    close(rays[shown].norm(dim=-1), torch.ones(int(shown.sum()), dtype=torch.float64))
    ideal = lens.ideal_from_photo(pixels)
    before = ideal.isfinite().all(dim=-1)
    close(lens.photo_from_ideal(ideal[before]), pixels[before], 1e-5)


@given(similarities(), generators())
def test_one_more_point_of_no_weight_changes_no_fit(
    truth: Similarity, generator: torch.Generator
) -> None:
    source = normal(generator, 6, 3)
    target = truth(source) + 0.01 * normal(generator, 6, 3)
    weights = torch.tensor([1, 1, 1, 1, 1, 0], dtype=torch.float64)
    with_it = fit_similarity(source, target, weights).matrix
    close(with_it, fit_similarity(source[:5], target[:5]).matrix, 1e-7)
