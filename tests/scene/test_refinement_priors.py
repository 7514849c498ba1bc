"""Refinement that is told what is known of the cameras."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fast3r.geometry.transforms import rotation_angle_deg, rotation_exp
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.types import Gps, Intrinsics, Poses, Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.adjustment import KnownPlace, adjust_to_places
from fast3r.scene.refinement.evidence import gather_evidence
from fast3r.scene.refinement.mapping import map_photos, sparse_model
from fast3r.scene.refinement.photos import working_photo
from fast3r.scene.refinement.refine import refine
from fast3r.scene.stages import StageRecorder
from tests.scene.corner import FOCAL_PX, a_corner, a_shaken_corner, shaken, two_rooms
from tests.scene.known_scenes import pose_of

METRES_PER_UNIT = 20.0


def with_focal(scene: Reconstruction, focal_px: float) -> Reconstruction:
    """Return a scene of which all cameras have this focal length."""
    cameras = []
    for camera in scene.cameras:
        assert camera is not None
        intrinsics = camera.intrinsics.clone()
        intrinsics[0, 0] = intrinsics[1, 1] = focal_px
        cameras.append(replace(camera, intrinsics=intrinsics))
    return replace(scene, cameras=cameras)


def known_pose(index: int) -> Tensor:
    """Return the true pose of a camera, in a world of the user's."""
    world_from_room = torch.eye(4, dtype=torch.float64)
    world_from_room[:3, :3] = rotation_exp(torch.tensor([0.3, 1.2, -0.4]).double())
    world_from_room[:3, 3] = torch.tensor([5.0, -2.0, 1.0])
    pose = a_corner().cameras[index].world_from_camera.double()
    pose[:3, 3] *= 3
    return world_from_room @ pose


def turned_deg(scene: Reconstruction, index: int) -> float:
    """Return how far a camera is turned from where it is known to look."""
    found, true = pose_of(scene, index), known_pose(index)
    return rotation_angle_deg(found[:3, :3], true[:3, :3]).item()


def moved(scene: Reconstruction, index: int) -> float:
    return (pose_of(scene, index) - known_pose(index))[:3, 3].norm().item()


def status(scene: Reconstruction, prior: str) -> str:
    return check(scene.prior_checks, prior).status


def check(checks: Sequence[PriorCheck], prior: str) -> PriorCheck:
    (found,) = (check for check in checks if check.prior == prior)
    return found


def test_a_known_focal_length_is_held_however_wrong_the_scene_has_it() -> None:
    known = Priors(intrinsics={"*": Intrinsics(FOCAL_PX)})
    found = refine(with_focal(a_shaken_corner(), 300.0), priors=known)
    assert [c.intrinsics[0, 0].item() for c in found.cameras if c is not None] == [FOCAL_PX] * 5
    made = torch.stack([pose_of(found, i) for i in range(5)])[:, :3, :3]
    true = torch.stack([c.world_from_camera for c in a_corner().cameras]).double()[:, :3, :3]
    assert rotation_angle_deg(made[0].mT @ made, true[0].mT @ true).max() < 0.2


def test_a_focal_length_that_only_exif_tells_is_improved() -> None:
    scene = a_shaken_corner()
    views = [replace(view, exif_focal_px=240.0) for view in scene.views]
    found = refine(replace(scene, views=views), priors=Priors(intrinsics="exif"))
    camera = found.cameras[0]
    assert camera is not None
    assert camera.intrinsics[0, 0].item() == pytest.approx(FOCAL_PX, rel=0.03)
    assert status(found, "focal length of 0.png") == "agrees"


def test_known_poses_are_held_and_the_other_cameras_are_right_beside_them() -> None:
    known = {f"{i}.png": known_pose(i) for i in (0, 2, 4)}
    found = refine(a_shaken_corner(), priors=Priors(poses=Poses(known)))
    for index in (0, 2, 4):
        torch.testing.assert_close(pose_of(found, index), known_pose(index), rtol=0, atol=1e-6)
    for index in (1, 3):
        assert turned_deg(found, index) < 0.1
        assert moved(found, index) < 0.02
    assert found.world.axes == "known poses"


def test_a_wrong_known_pose_is_named_kept_and_bends_nothing() -> None:
    known = {f"{i}.png": known_pose(i) for i in range(4)}
    known["1.png"] = known["1.png"].clone()
    known["1.png"][:3, :3] = (
        rotation_exp(torch.tensor([0.0, 0.3, 0.0]).double()) @ known_pose(1)[:3, :3]
    )
    found = refine(a_shaken_corner(), priors=Priors(poses=Poses(known)))
    assert status(found, "rotation of 1.png") == "disagrees"
    assert status(found, "rotation of 2.png") == "agrees"
    torch.testing.assert_close(pose_of(found, 1), known["1.png"], rtol=0, atol=1e-6)
    assert turned_deg(found, 4) < 0.1


def test_a_wrong_pose_with_a_standard_deviation_is_named_and_not_averaged() -> None:
    known = {f"{i}.png": known_pose(i) for i in range(5)}
    known["1.png"] = known["1.png"].clone()
    known["1.png"][:3, 3] += torch.tensor([0.0, 2.0, 0.0])
    poses = Poses(known, position_sigma=0.05, rotation_sigma_deg=1.0)
    found = refine(a_shaken_corner(), priors=Priors(poses=poses))
    assert status(found, "position of 1.png") == "disagrees"
    assert max(moved(found, index) for index in range(5)) < 0.05
    assert max(turned_deg(found, index) for index in range(5)) < 0.5


def geographic(index: int, off: Sequence[float] = (0, 0, 0)) -> tuple[float, float, float]:
    """Return where a camera of the room stands on the Earth, whose z axis goes north."""
    right, down, forward = (
        METRES_PER_UNIT * a_corner().cameras[index].world_from_camera[:3, 3]
    ).tolist()
    east, north, up = right + off[0], forward + off[1], -down + off[2]
    # Of the ellipsoid at 47 degrees.
    return 47 + north / 111_170.0, 8 + east / 76_130.0, 500 + up


def test_places_by_gps_give_axes_and_scale_and_a_gross_outlier_is_named() -> None:
    random = torch.Generator().manual_seed(1)
    noise = (0.1 * torch.randn(5, 3, generator=random)).tolist()
    noise[3] = [0.0, 30.0, 0.0]
    places = {f"{i}.png": geographic(i, off) for i, off in enumerate(noise)}
    gps = Gps(places, horizontal_sigma_m=0.1, vertical_sigma_m=0.1)
    found = refine(a_shaken_corner(), priors=Priors(gps=gps))
    assert status(found, "gps of 3.png") == "disagrees"
    assert found.world.axes == "east north up"
    reach = (pose_of(found, 4) - pose_of(found, 0))[:3, 3].norm().item()
    assert reach == pytest.approx(METRES_PER_UNIT * 1.6, rel=0.02)
    assert pose_of(found, 2)[:3, 2] @ torch.tensor([0, 1, 0]).double() > 0.97


def test_places_weigh_in_bundle_adjustment() -> None:
    photos = [working_photo(view, None, max_side_px=1600) for view in a_corner().views]
    evidence = gather_evidence(photos, "usual", seed=0, recorder=StageRecorder())
    (model, *_) = map_photos(evidence, "global", "shared", seed=0)
    true = {i: c.world_from_camera[:3, 3].double() for i, c in enumerate(a_corner().cameras)}
    # A track that is a fifth wider than the photos say.
    bent = {i: place * torch.tensor([1.0, 1.2, 1.0]) for i, place in true.items()}
    shifts = []
    for sigma in (1e-3, 1.0):
        sigmas = torch.full((3,), sigma, dtype=torch.float64)
        mapped = type(model.mapped)(model.mapped)
        places = {i: KnownPlace(place, sigmas) for i, place in bent.items()}
        adjust_to_places(mapped, photos, places, seed=0)
        cameras = sparse_model(mapped, photos).cameras
        off = [(cameras[i].world_from_camera[:3, 3] - bent[i]).norm() for i in bent]
        shifts.append(torch.stack(off).max().item())
    assert shifts[0] < 0.002 < 0.01 < shifts[1]


def test_a_focal_length_far_from_the_scene_s_own_is_reported() -> None:
    known = Priors(intrinsics={"*": Intrinsics(FOCAL_PX)})
    found = refine(with_focal(a_shaken_corner(), 2 * FOCAL_PX), priors=known)
    told = check(found.prior_checks, "focal length of 2.png")
    assert told.status == "disagrees"
    assert told.residual == pytest.approx(100, rel=0.01)


def test_known_poses_that_photos_contradict_together_do_not_enter_and_it_is_said() -> None:
    random = torch.Generator().manual_seed(0)
    known = {f"{i}.png": known_pose(i).clone() for i in range(5)}
    for pose in known.values():
        turn = torch.deg2rad(1.5 * torch.randn(3, generator=random)).double()
        pose[:3, :3] = rotation_exp(turn) @ pose[:3, :3]
    found = refine(a_shaken_corner(), priors=Priors(poses=Poses(known)))
    told = check(found.prior_checks, "poses in bundle adjustment")
    assert told.status == "unused"
    assert "of the matches that agree with the cameras would not" in told.note
    for index, pose in enumerate(known.values()):
        torch.testing.assert_close(pose_of(found, index), pose, rtol=0, atol=1e-6)


def test_parts_that_nothing_but_known_poses_ties_together_are_one() -> None:
    scene = two_rooms()
    poses = [pose_of(scene, index) for index in range(6)]
    known = {scene.views[i].name: poses[i] for i in (0, 2, 3, 5)}
    found = refine(shaken(scene, turned_deg=3.0, moved=0.3), priors=Priors(poses=Poses(known)))
    assert found.refinement is not None
    assert [view.part for view in found.refinement.views] == [0] * 6
    for index in (1, 4):
        torch.testing.assert_close(pose_of(found, index), poses[index], rtol=0, atol=0.01)
