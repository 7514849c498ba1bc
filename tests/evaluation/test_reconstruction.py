"""The reference's numbers, known answers, and which pixel of a photo a grid pixel sees."""

import numpy as np
import pytest
import torch

from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import DenseView
from fast3r.evaluation.metrics.clouds import CloudErrors
from fast3r.evaluation.reconstruction import ScannedView, reconstruction_errors, scanned_view
from fast3r.geometry.cameras import pinhole, unproject
from fast3r.geometry.reference import align_reference
from tests.evaluation.trajectory import random_map, random_poses
from tests.geometry.golden import Golden


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("recon_metrics.npz")


def golden_view(golden: Golden, view: int, head: str, align_percentile: float) -> ScannedView:
    def of(key: str) -> torch.Tensor:
        return golden[f"view{view}_{key}"][0]

    points, conf, valid = of("pts3d_in_other_view"), of("conf"), of("gt_valid_mask")
    if head == "local":
        local = of("pts3d_local").flatten(0, 1)[None]
        fit = align_reference(
            local,
            points.flatten(0, 1)[None],
            conf.flatten()[None],
            mask=valid.flatten()[None],
            min_conf_percentile=align_percentile,
        )
        points = fit.world_from_local(local)[0].reshape(points.shape)
        conf = of("conf_local")
    return ScannedView(points, conf, of("gt_pts3d"), valid)


@pytest.mark.parametrize(
    ("name", "head", "align_percentile", "min_conf_percentile"),
    [
        ("eval_default", "local", 85, 0),
        ("global_head", "world", 85, 0),
        ("no_thr", "local", 0, 0),
        ("metric_thr50", "local", 85, 50),
    ],
)
def test_errors_are_the_references(
    golden: Golden, name: str, head: str, align_percentile: float, min_conf_percentile: float
) -> None:
    views = [golden_view(golden, view, head, align_percentile) for view in range(3)]
    found = reconstruction_errors(
        views, align_percentile=align_percentile, min_conf_percentile=min_conf_percentile
    )
    assert found is not None
    # The reference computes in float32; its medians lie among few values.
    for ours, theirs in (
        (found.accuracy, "accuracy"),
        (found.accuracy_median, "accuracy_median"),
        (found.completeness, "completion"),
        (found.completeness_median, "completion_median"),
    ):
        assert ours == pytest.approx(golden[f"{name}_{theirs}"].item(), rel=1e-3)
    for ours, theirs in (
        (found.accuracy_normals, "nc1"),
        (found.accuracy_normals_median, "nc1_median"),
        (found.completeness_normals, "nc2"),
        (found.completeness_normals_median, "nc2_median"),
    ):
        assert ours == pytest.approx(golden[f"{name}_{theirs}"].item(), abs=1e-4)


def a_scan(seed: int, *, height: int = 20, width: int = 30) -> ScannedView:
    """A bumpy surface that is predicted rightly, but in another world."""
    x, y = torch.meshgrid(torch.linspace(0, 1, width), torch.linspace(0, 1, height), indexing="xy")
    truth = torch.stack((x + seed, y, 0.2 * torch.sin(6 * x) * torch.cos(5 * y)), dim=-1).double()
    there = random_map(7)
    points = there(truth.flatten(0, 1)).reshape(truth.shape)
    ones = torch.ones(height, width)
    return ScannedView(points, ones, truth, ones.bool())


def assert_perfect(found: CloudErrors | None) -> None:
    assert found is not None
    assert found.accuracy < 1e-9
    assert found.completeness < 1e-9
    assert found.normals > 1 - 1e-9


def test_a_right_surface_in_another_world_has_no_error() -> None:
    assert_perfect(reconstruction_errors([a_scan(0), a_scan(1)]))


def test_unsure_points_do_not_move_the_world_but_count() -> None:
    view = a_scan(0)
    view.points[:2] += 5.0
    view.confidence[:2] = 0.5
    found = reconstruction_errors([view], thresholds=[1e-6])
    assert found is not None
    assert found.f_scores[0].precision == pytest.approx(0.9)
    assert found.accuracy_median < 1e-9


def test_a_percentile_of_confidence_leaves_unsure_points_out_of_the_cloud() -> None:
    view = a_scan(0)
    view.points[:2] += 5.0
    view.confidence[:2] = 0.5
    found = reconstruction_errors([view], min_conf_percentile=10, thresholds=[1e-6])
    assert found is not None
    score = found.f_scores[0]
    assert (score.precision, score.recall) == (1, pytest.approx(0.9))


def test_a_view_without_prediction_is_missing_surface() -> None:
    lost = a_scan(1)
    lost.confidence[:] = 0
    found = reconstruction_errors([a_scan(0), lost], thresholds=[1e-6])
    assert found is not None
    # The surfaces share an edge of one of 30 columns.
    assert found.f_scores[0].recall == pytest.approx(0.5, abs=0.02)
    assert found.f_scores[0].precision == 1


def test_points_that_are_not_finite_are_missing_surface() -> None:
    view = a_scan(0)
    view.points[0] = torch.nan
    found = reconstruction_errors([view], thresholds=[1e-6])
    assert found is not None
    assert found.f_scores[0].recall == pytest.approx(0.95)


def test_what_is_not_valid_is_no_truth_and_no_prediction() -> None:
    view = a_scan(0)
    view.points[0], view.truth[0], view.valid[0] = 9.0, -9.0, False
    assert_perfect(reconstruction_errors([view]))


def test_icp_mends_what_wrong_anchors_spoil() -> None:
    view = a_scan(0, height=40, width=60)
    # The surest pixels are off along the surface's normal.
    view.points[:8] = random_map(7)(
        (view.truth[:8] + torch.tensor([0, 0, 0.03])).flatten(0, 1)
    ).reshape(8, 60, 3)
    view.confidence[:12] = 2.0
    before = reconstruction_errors([view], align_percentile=80)
    after = reconstruction_errors([view], align_percentile=80, icp_distance=0.1)
    assert before is not None
    assert after is not None
    assert after.accuracy < before.accuracy / 2


def test_too_few_points_determine_no_errors() -> None:
    view = a_scan(0)
    view.valid[:] = False
    view.valid[0, :2] = True
    assert reconstruction_errors([view]) is None
    apart = a_scan(0)
    assert reconstruction_errors([apart], icp_distance=1e-30) is None


def a_frame(height: int = 12, width: int = 16) -> Frame:
    generator = np.random.default_rng(0)
    return Frame(
        name="a.png",
        image=np.zeros((height, width, 3), dtype=np.uint8),
        depth=(1 + generator.random((height, width))).astype(np.float32),
        intrinsics=pinhole(torch.tensor(20.0).double(), height, width).numpy(),
        world_from_camera=random_poses(0, 1)[0].numpy(),
    )


def true_points(frame: Frame) -> torch.Tensor:
    return unproject(
        torch.from_numpy(frame.depth).double(),
        torch.from_numpy(frame.intrinsics),
        torch.from_numpy(frame.world_from_camera),
    )


def dense_view(height: int, width: int, photo_from_grid: np.ndarray) -> DenseView:
    size = (height, width)
    return DenseView(np.ones((*size, 3)), np.ones(size), np.ones(size), photo_from_grid)


def test_on_the_pixels_of_the_photo_the_truth_is_its_depth_unprojected() -> None:
    frame = a_frame()
    view = scanned_view(frame, dense_view(12, 16, np.eye(3)))
    torch.testing.assert_close(view.truth, true_points(frame))
    assert view.valid.all()


def test_a_grid_pixel_sees_the_photo_pixel_that_holds_its_centre() -> None:
    frame = a_frame()
    # Three photo pixels wide and high, from (2, 1) on: centres fall on centres.
    affine = np.array([[3.0, 0, 2], [0, 3, 1], [0, 0, 1]])
    view = scanned_view(frame, dense_view(3, 4, affine))
    torch.testing.assert_close(view.truth, true_points(frame)[2:11:3, 3:13:3])


def test_a_fine_grid_follows_the_rays_of_its_own_pixels() -> None:
    frame = a_frame()
    view = scanned_view(frame, dense_view(24, 32, np.diag([0.5, 0.5, 1])))
    pose = torch.from_numpy(frame.world_from_camera)
    camera = (view.truth - pose[:3, 3]) @ pose[:3, :3]
    expected = torch.from_numpy(frame.depth).double().repeat_interleave(2, 0)
    torch.testing.assert_close(camera[..., 2], expected.repeat_interleave(2, 1))
    x = 20 * camera[..., 0] / camera[..., 2] + 8
    torch.testing.assert_close(x[0], (torch.arange(32).double() + 0.5) / 2)


def test_beyond_the_photo_and_without_depth_nothing_is_known() -> None:
    frame = a_frame()
    assert frame.depth is not None
    frame.depth[5, 5] = 0
    shift = np.array([[1.0, 0, -2], [0, 1, 0], [0, 0, 1]])
    view = scanned_view(frame, dense_view(12, 16, shift))
    expected = torch.ones(12, 16, dtype=torch.bool)
    expected[:, :2] = False
    expected[5, 7] = False
    assert (view.valid == expected).all()


def test_a_photo_without_answer_is_true_surface_of_which_nothing_was_found() -> None:
    view = scanned_view(a_frame(), None)
    assert view.valid.all()
    assert (view.confidence == 0).all()
    assert view.points.isnan().all()


def test_a_frame_without_depth_is_refused() -> None:
    frame = a_frame()
    bare = Frame(frame.name, frame.image, None, frame.intrinsics, frame.world_from_camera)
    with pytest.raises(ValueError, match=r"a\.png has no depth"):
        scanned_view(bare, None)


def test_the_whole_way_from_frames_to_errors() -> None:
    frame, there = a_frame(), random_map(3)
    points = there(true_points(frame).flatten(0, 1)).reshape(12, 16, 3)
    ones = np.ones((12, 16))
    found = reconstruction_errors(
        [scanned_view(frame, DenseView(points.numpy(), ones, ones, np.eye(3)))]
    )
    assert found is not None
    assert found.chamfer < 1e-9
