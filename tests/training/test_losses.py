"""The losses: equal to the reference in value and gradient, and never NaN."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fast3r.data.sample import Sample, frame_points
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.training.losses import PointmapLoss, pose_consistency
from tests.training.tiny import plane_sample

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "losses.npz"


@pytest.fixture
def golden() -> dict[str, torch.Tensor]:
    with np.load(GOLDEN) as file:
        return {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}


def golden_case(golden: dict[str, torch.Tensor]) -> tuple[list[Prediction], Sample]:
    predictions = [
        Prediction(
            Pointmap(golden["in_pts3d_in_other_view"][v], golden["in_conf"][v]),
            Pointmap(golden["in_pts3d_local"][v], golden["in_conf_local"][v]),
        )
        for v in range(3)
    ]
    valid = golden["in_valid_mask"].transpose(0, 1)
    sample = Sample(
        images=torch.zeros(2, 3, 3, *valid.shape[2:]),
        points=golden["in_gt_pts3d"].transpose(0, 1),
        valid=valid,
        intrinsics=torch.eye(3).expand(2, 3, 3, 3),
        world_from_camera=golden["in_camera_pose"].transpose(0, 1),
    )
    return predictions, sample


def test_the_loss_and_its_gradients_equal_the_reference(golden: dict[str, torch.Tensor]) -> None:
    names = ["pts3d_in_other_view", "conf", "pts3d_local", "conf_local"]
    inputs = [golden[f"in_{name}"].requires_grad_() for name in names]
    predictions, sample = golden_case(golden)
    total = PointmapLoss()(predictions, sample).total
    torch.testing.assert_close(total.double(), golden["train_loss"], rtol=1e-5, atol=1e-6)
    for name, gradient in zip(names, torch.autograd.grad(total, inputs), strict=True):
        torch.testing.assert_close(gradient, golden[f"train_grad_{name}"], rtol=1e-3, atol=1e-6)


def test_each_head_has_half_of_the_loss(golden: dict[str, torch.Tensor]) -> None:
    predictions, sample = golden_case(golden)
    terms = PointmapLoss()(predictions, sample)
    heads = terms.figures["world_loss"] + terms.figures["local_loss"]
    torch.testing.assert_close(terms.total, heads / 2)


def test_without_a_local_head_only_the_world_map_counts(golden: dict[str, torch.Tensor]) -> None:
    predictions, sample = golden_case(golden)
    total = PointmapLoss()([Prediction(p.world, None) for p in predictions], sample).total
    torch.testing.assert_close(
        total.double(), golden["train_global_only_loss"], rtol=1e-5, atol=1e-6
    )


def test_alpha_weighs_the_logarithm(golden: dict[str, torch.Tensor]) -> None:
    predictions, sample = golden_case(golden)
    total = PointmapLoss(alpha=1.0)(predictions, sample).total
    torch.testing.assert_close(total.double(), golden["alpha1_loss"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("empty", [(slice(None), 2), (0, slice(None)), (slice(None), slice(None))])
def test_empty_views_and_samples_give_finite_gradients(
    golden: dict[str, torch.Tensor], empty: tuple
) -> None:
    inputs = [golden[name].requires_grad_() for name in ("in_pts3d_in_other_view", "in_conf")]
    predictions, sample = golden_case(golden)
    sample.valid[empty] = False
    total = PointmapLoss()(predictions, sample).total
    assert total.isfinite()
    for gradient in torch.autograd.grad(total, inputs):
        assert gradient.isfinite().all()


def test_an_empty_view_adds_nothing(golden: dict[str, torch.Tensor]) -> None:
    predictions, sample = golden_case(golden)
    sample.valid[:, 2] = False
    total = PointmapLoss()(predictions, sample).total
    torch.testing.assert_close(total.double(), golden["emptyview_loss"], rtol=1e-5, atol=1e-6)


def test_the_plain_error_tells_of_the_valid_points_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = 3 + torch.randn(1, 2, 4, 5, 3, generator=generator)
    valid = torch.rand(1, 2, 4, 5, generator=generator) > 0.5
    made = torch.where(valid[..., None], 2 * truth, torch.full_like(truth, 1e6))
    pointmap = Pointmap(made, torch.ones(1, 2, 4, 5))
    loss, error = PointmapLoss().view_terms(pointmap, truth, valid, per_view=False)
    torch.testing.assert_close(error, torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(loss, error)


def test_frame_points_inverts_the_pose() -> None:
    sample = plane_sample(8)
    local = frame_points(sample.points, sample.world_from_camera)
    torch.testing.assert_close(local[:, 1], local[:, 0])


def test_the_pose_term_sees_the_pose_and_not_the_depth() -> None:
    sample = plane_sample(8)
    local = frame_points(sample.points, sample.world_from_camera)
    warped = local * (1 + 0.3 * torch.rand(1, 2, 32, 48, 1))  # wrong depth, right rays
    moved = warped + sample.world_from_camera[:, :, None, None, :3, 3]
    scale = local.norm(dim=-1).mean(dim=(2, 3)) / warped.norm(dim=-1).mean(dim=(2, 3))
    right = warped * scale[..., None, None, None] + (moved - warped)
    sure = torch.ones(1, 32, 48)
    errors = []
    for world in (right, warped):
        predictions = [
            Prediction(Pointmap(world[:, v], sure), Pointmap(warped[:, v], sure)) for v in range(2)
        ]
        errors.append(pose_consistency(PointmapLoss(), predictions, sample)[1].item())
    assert errors[0] == pytest.approx(0, abs=1e-5)
    assert errors[1] > 0.05
