import sys

import pytest
import torch

from fast3r.geometry.cameras import pinhole, pixel_grid
from fast3r.geometry.focal import estimate_focal
from fast3r.geometry.poses import PoseEstimate, solve_poses
from fast3r.geometry.reference import align_reference, focal_reference, solve_poses_reference
from fast3r.geometry.transforms import rotation_angle_deg
from tests.geometry.golden import Golden

CASES = {"same": 4, "mixed": 3, "different_focals_shared": 3, "too_few_points": 2}


@pytest.fixture(scope="module")
def focal_pnp() -> Golden:
    return Golden("focal_pnp.npz")


def first_focal(golden: Golden, case: str) -> float:
    points, conf = golden[f"{case}_view0_pts3d"], golden[f"{case}_view0_conf"]
    return focal_reference(points[None], conf[None]).item()


def solve(golden: Golden, case: str, count: int, focal_px: float | None) -> PoseEstimate:
    points, conf = (golden.views(f"{case}_", key, count) for key in ("pts3d", "conf"))
    return solve_poses_reference(points, conf, focal_px)


@pytest.mark.parametrize("percentile", [0, 10, 50, 85])
def test_focal_of_the_reference_at_each_percentile(focal_pnp: Golden, percentile: int) -> None:
    points, conf = focal_pnp["same_view0_pts3d"][None], focal_pnp["same_view0_conf"][None]
    found = focal_reference(points, conf, min_conf_percentile=percentile).item()
    expected = focal_pnp[f"focal_same_view0_pct{percentile}"].item()
    assert found == pytest.approx(expected, rel=1e-6)


def test_focal_of_dust3r_takes_all_pixels_and_ten_iterations(focal_pnp: Golden) -> None:
    points, conf = focal_pnp["same_view0_pts3d"][None], focal_pnp["same_view0_conf"][None]
    found = focal_reference(points, conf, min_conf_percentile=0, iterations=10).item()
    expected = focal_pnp["focal_same_view0_dust3r_weiszfeld10"].item()
    assert found == pytest.approx(expected, rel=1e-6)


def test_focal_by_the_median(focal_pnp: Golden) -> None:
    points, conf = focal_pnp["same_view0_pts3d"][None], focal_pnp["same_view0_conf"][None]
    found = focal_reference(points, conf, method="median").item()
    assert found == pytest.approx(focal_pnp["focal_same_view0_dust3r_median"].item(), rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_the_first_focal_of_each_case_is_the_references(focal_pnp: Golden, case: str) -> None:
    expected = focal_pnp[f"{case}_focals"][0].item()
    assert first_focal(focal_pnp, case) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_poses_of_the_reference_with_one_focal(focal_pnp: Golden, case: str) -> None:
    pytest.importorskip("cv2")
    found = solve(focal_pnp, case, CASES[case], first_focal(focal_pnp, case))
    # The reference answers a failure with the identity.
    pose = found.world_from_camera.where(found.registered[:, None, None], torch.eye(4))
    torch.testing.assert_close(pose.double(), focal_pnp[f"{case}_c2w"], rtol=0, atol=1e-3)


def test_poses_of_the_reference_with_a_scan_of_focals(focal_pnp: Golden) -> None:
    pytest.importorskip("cv2")
    found = solve(focal_pnp, "individual", 3, None)
    expected = focal_pnp["individual_c2w"]
    torch.testing.assert_close(found.world_from_camera.double(), expected, rtol=0, atol=1e-3)


def test_a_view_with_three_points_is_not_registered(focal_pnp: Golden) -> None:
    pytest.importorskip("cv2")
    found = solve(focal_pnp, "too_few_points", 2, 60.0)
    assert found.registered.tolist() == [True, False]


def test_without_opencv_the_error_names_the_package(
    focal_pnp: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="pip install opencv-python-headless"):
        solve(focal_pnp, "same", 1, 60.0)


@pytest.mark.parametrize("case", ["same", "individual", "different_focals_shared"])
def test_our_poses_are_closer_to_the_truth_than_the_references(
    focal_pnp: Golden, case: str
) -> None:
    truth, theirs = focal_pnp[f"{case}_gt_c2w"], focal_pnp[f"{case}_c2w"].float()
    count, height, width = len(truth), 48, 64
    points, conf = (
        torch.stack(focal_pnp.views(f"{case}_", key, count)) for key in ("pts3d", "conf")
    )
    local = (points.flatten(1, 2) - truth[:, None, :3, 3]) @ truth[:, :3, :3]
    focal_px = estimate_focal(local.unflatten(1, (height, width)), conf)
    # These views were made with integer pixel centres about (32, 24).
    pixels = pixel_grid(height, width).flatten(0, 1)[None] - 0.5
    found = solve_poses(
        points.flatten(1, 2), pixels, pinhole(focal_px, height, width), max_reprojection_px=5
    )
    ours = rotation_angle_deg(found.world_from_camera[:, :3, :3], truth[:, :3, :3])
    assert ours.mean() < rotation_angle_deg(theirs[:, :3, :3], truth[:, :3, :3]).mean()


@pytest.mark.parametrize("percentile", [0, 85])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("view", range(3))
def test_alignment_of_the_reference(percentile: int, masked: bool, view: int) -> None:
    golden = Golden("align_local_to_global.npz")
    local = golden[f"view{view}_pts3d_local"].flatten(1, 2)
    world = golden[f"view{view}_pts3d_in_other_view"].flatten(1, 2)
    conf = golden[f"view{view}_conf"].flatten(1)
    mask = golden[f"view{view}_valid_mask"].flatten(1) if masked else None
    fit = align_reference(local, world, conf, mask=mask, min_conf_percentile=percentile)
    name = f"pct{percentile}_{'mask' if masked else 'nomask'}_view{view}_aligned"
    found = fit.world_from_local(local)
    torch.testing.assert_close(found, golden[name].flatten(1, 2), rtol=1e-4, atol=1e-4)


def test_alignment_of_the_reference_fails_with_two_points() -> None:
    points, conf = torch.rand(1, 10, 3), torch.ones(1, 10)
    mask = torch.arange(10)[None] < 2
    assert align_reference(points, points, conf, mask=mask).aligned.tolist() == [False]
