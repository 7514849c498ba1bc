"""A scene is taken to what is known of it: axes, place and scale first, then single cameras."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.geometry.transforms import Similarity
from fast3r.scene.priors.alignment import Alignment, align, spread
from fast3r.scene.priors.binding import BoundPriors, bind
from fast3r.scene.priors.found_cameras import SCENE_PLACE, SCENE_TURN_DEG
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.placing import DepthFor, between, place, place_rigs
from fast3r.scene.priors.scales import GATE as SCALE_GATE
from fast3r.scene.priors.scales import ScaleVote, agreed_scale
from fast3r.scene.priors.types import Priors
from fast3r.scene.priors.votes import scale_votes
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.view import View

_MAX_FOCAL_ERROR = 0.6
"""Between a known focal length and that of the network. Over 17 sets of photos the bundled network
erred by 18 % in the median and by 64 % at worst; for a copy of half the size it is 100 %."""


def with_priors(scene: Reconstruction, priors: Priors, *, seed: int = 0) -> Reconstruction:
    """Return a finished scene in the world and the unit that are known, known poses in place.

    Intrinsics of views that have a camera stay as they are; how far they are from known ones is
    told in `prior_checks`.

    Raises:
        ValueError: A prior cannot be true, is of no view, or does not go with another one.
    """
    known = bind(priors, scene.views)
    return apply_priors(scene, known, seen_focals_px=focals_px(scene), seed=seed)


def focals_px(scene: Reconstruction) -> Float[Tensor, " views"]:
    """Return the focal length of each view's camera; nan where it has none."""
    focals = [torch.nan if c is None else c.intrinsics[0, 0].item() for c in scene.cameras]
    return torch.tensor(focals)


def focal_check_name(view: View) -> str:
    """Return what the check of a view's focal length is called."""
    return f"focal length of {view.name}"


def apply_priors(
    scene: Reconstruction,
    known: BoundPriors,
    *,
    seen_focals_px: Float[Tensor, " views"],
    depth_for: DepthFor | None = None,
    weighed: Collection[int] = (),
    seed: int = 0,
) -> Reconstruction:
    """Return the scene in the world and the unit that are known, with known cameras in place.

    Args:
        scene: As the network sees it; made with the known intrinsics.
        known: What is known of its views.
        seen_focals_px: What the network or refinement says of each view's focal length.
        depth_for: Returns the depth of a view in the scene's own frame, given its camera there:
            for views that get their camera only here.
        weighed: Views whose camera was found with its known pose in mind, so that one with a
            standard deviation has had its weight.
        seed: Of all sampling.

    Raises:
        ValueError: Latitude and longitude are swapped.
    """
    alignment = align(scene, known, seed)
    votes, unused = scale_votes(scene, known)
    votes = [*alignment.scale_votes, *votes]
    similarity, scale, scale_checks = _with_scale(alignment, votes)
    moved = scene.transformed(similarity, scale=scale)
    moved = replace(moved, world=alignment.world)
    depth_in_world = None if depth_for is None else _DepthInWorld(depth_for, similarity)
    poses = (
        {}
        if alignment.world.axes != "known poses"
        else _known_poses(moved, known, alignment, similarity, weighed)
    )
    moved = place(moved, poses, known, depth_in_world)
    moved, rig_checks = place_rigs(moved, known, list(poses), depth_in_world)
    focal_checks = _focal_checks(scene, known, seen_focals_px)
    checks = [*focal_checks, *alignment.checks, *scale_checks, *unused, *rig_checks]
    return replace(moved, prior_checks=checks)


def _focal_checks(
    scene: Reconstruction, known: BoundPriors, seen_focals_px: Float[Tensor, " views"]
) -> list[PriorCheck]:
    checks = []
    for index, intrinsics in known.intrinsics.items():
        ratio = seen_focals_px[index].item() / intrinsics[:2, :2].det().sqrt().item()
        if not math.isfinite(ratio):
            continue
        percent = 100 * math.expm1(abs(math.log(ratio)))
        status = "agrees" if percent <= 100 * _MAX_FOCAL_ERROR else "disagrees"
        name = focal_check_name(scene.views[index])
        checks.append(PriorCheck(name, status, percent, 100 * _MAX_FOCAL_ERROR, "%"))
    return checks


class _DepthInWorld:
    """Gives the depth of a view by its camera in the known world."""

    def __init__(self, depth_for: DepthFor, world_from_scene: Similarity) -> None:
        self._depth_for, self._similarity = depth_for, world_from_scene

    def __call__(self, index: int, camera: Camera) -> Tensor | None:
        scene_from_world = self._similarity.inverse()
        pose = camera.world_from_camera.double()
        there = pose.clone()
        there[:3, :3] = scene_from_world.rotation @ pose[:3, :3]
        there[:3, 3] = scene_from_world(pose[None, :3, 3])[0]
        depth = self._depth_for(index, replace(camera, world_from_camera=there.float()))
        return None if depth is None else depth * self._similarity.scale.item()


def _with_scale(
    alignment: Alignment, votes: list[ScaleVote]
) -> tuple[Similarity, Scale, list[PriorCheck]]:
    """Return the similarity with the scale that the votes agree on, and what each is off by."""
    similarity = alignment.world_from_scene
    if not votes:
        return similarity, Scale("arbitrary", alignment.scale_source), []
    agreed = agreed_scale(votes)
    if agreed is None:
        kinds = " and ".join(dict.fromkeys(vote.kind for vote in votes))
        checks = [_contradiction(vote, votes) for vote in votes]
        return similarity, Scale("arbitrary", f"{kinds} contradict each other"), checks
    log_scale, agrees = agreed.log_scale, agreed.agrees
    if alignment.exact_scale:
        log_scale = math.log(similarity.scale.item())
        agrees = [abs(v.log_scale - log_scale) < SCALE_GATE * v.sigma for v in votes]
    counted = [vote for vote, agreeing in zip(votes, agrees, strict=True) if agreeing]
    kinds = " and ".join(dict.fromkeys(vote.kind for vote in counted)) or "known poses"
    checks = [
        _vote_check(vote, log_scale, agrees=agreeing)
        for vote, agreeing in zip(votes, agrees, strict=True)
    ]
    return alignment.resized(math.exp(log_scale)), Scale("metric", kinds), checks


def _vote_check(vote: ScaleVote, log_scale: float, *, agrees: bool) -> PriorCheck:
    """Say how much longer the measurement is than the same length in the scene."""
    percent = 100 * math.expm1(abs(vote.log_scale - log_scale))
    allowed = 100 * math.expm1(SCALE_GATE * vote.sigma)
    status = "agrees" if agrees else "disagrees"
    longer = vote.log_scale > log_scale
    note = "" if agrees else f"it says {'longer' if longer else 'shorter'} than the scene has"
    return PriorCheck(vote.prior, status, percent, allowed, "%", note)


def _contradiction(vote: ScaleVote, votes: Sequence[ScaleVote]) -> PriorCheck:
    """Say how far a vote is from the one that it contradicts most."""
    other = max(votes, key=lambda other: abs(other.log_scale - vote.log_scale))
    percent = 100 * math.expm1(abs(other.log_scale - vote.log_scale))
    allowed = 100 * math.expm1(SCALE_GATE * math.hypot(vote.sigma, other.sigma))
    note = (
        f"it says {math.exp(vote.log_scale):.3g} m per unit of the scene, "
        f"the {other.prior} {math.exp(other.log_scale):.3g}"
    )
    return PriorCheck(vote.prior, "disagrees", percent, allowed, "%", note)


def _known_poses(
    scene: Reconstruction,
    known: BoundPriors,
    alignment: Alignment,
    similarity: Similarity,
    done: Collection[int],
) -> dict[int, Float[Tensor, "4 4"]]:
    """Return the poses to be kept, in the world to be."""
    if known.priors.poses is None:
        return {}
    prior = known.priors.poses
    places = torch.stack([pose[:3, 3] for pose in known.poses.values()])
    place_sigma = SCENE_PLACE * spread(places)
    poses = {}
    for index, pose in known.poses.items():
        poses[index] = pose.clone()
        poses[index][:3, 3] *= alignment.units(similarity)
        camera = scene.cameras[index]
        if camera is None or prior.position_sigma == prior.rotation_sigma_deg == 0:
            continue
        if index in done or index in alignment.contradicted:
            # Between what contradicts each other there is no truth.
            poses[index] = camera.world_from_camera.double()
            continue
        poses[index] = between(
            poses[index],
            camera.world_from_camera.double(),
            share_of_place=_share(prior.position_sigma, place_sigma),
            share_of_turn=_share(prior.rotation_sigma_deg, SCENE_TURN_DEG),
        )
    return poses


def _share(known_sigma: float, found_sigma: float) -> float:
    """Return the weight of a known value beside a found one."""
    return found_sigma**2 / max(found_sigma**2 + known_sigma**2, 1e-24)
