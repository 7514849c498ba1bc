"""A scene is taken to what is known of it: axes, place and scale first, then single cameras."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.geometry.transforms import Similarity
from fast3r.scene.priors.alignment import Alignment, align
from fast3r.scene.priors.binding import BoundPriors, bind
from fast3r.scene.priors.depth_maps import depth_votes
from fast3r.scene.priors.distances import distance_votes
from fast3r.scene.priors.found_cameras import SCENE_PLACE, SCENE_TURN_DEG, found_in, spread
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.placing import DepthFor, between, place
from fast3r.scene.priors.rigs import place_rigs, rig_votes
from fast3r.scene.priors.scales import (
    ScaleVote,
    agreed_scale,
    agreeing,
    contradiction,
    vote_check,
)
from fast3r.scene.priors.types import Priors
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
    alignment = align(found_in(scene), known, seed=seed)
    votes, unused = _votes(scene, known)
    if alignment.scale_vote is not None:
        votes = [alignment.scale_vote, *votes]
    similarity, scale, scale_checks = _with_scale(alignment, votes)
    moved = replace(scene.transformed(similarity, scale=scale), world=alignment.world)
    depth_in_world = None if depth_for is None else _in_world(depth_for, similarity)
    poses = _known_poses(moved, known, alignment, similarity, weighed)
    moved = place(moved, poses, known.intrinsics, depth_in_world)
    moved, rig_checks = place_rigs(
        moved, known.rigs, intrinsics=known.intrinsics, fixed=list(poses), depth_for=depth_in_world
    )
    focal_checks = _focal_checks(scene, known, seen_focals_px)
    checks = [*focal_checks, *alignment.checks, *scale_checks, *unused, *rig_checks]
    return replace(moved, prior_checks=checks)


def _votes(scene: Reconstruction, known: BoundPriors) -> tuple[list[ScaleVote], list[PriorCheck]]:
    """Return the votes for metres per unit of the scene, and what could not vote."""
    said = [*distance_votes(scene, known.distances)]
    if known.priors.depth is not None:
        error = known.priors.depth.relative_error
        said += depth_votes(scene, known.depth, relative_error=error)
    said += rig_votes(scene, known.rigs)
    votes = [vote for vote in said if isinstance(vote, ScaleVote)]
    return votes, [check for check in said if isinstance(check, PriorCheck)]


def _focal_checks(
    scene: Reconstruction, known: BoundPriors, seen_focals_px: Float[Tensor, " views"]
) -> list[PriorCheck]:
    checks = []
    for index, intrinsics in known.intrinsics.items():
        ratio = seen_focals_px[index].item() / intrinsics[:2, :2].det().sqrt().item()
        if math.isfinite(ratio):
            name = focal_check_name(scene.views[index])
            percent = 100 * math.expm1(abs(math.log(ratio)))
            checks.append(PriorCheck.measured(name, percent, 100 * _MAX_FOCAL_ERROR, "%"))
    return checks


def _in_world(depth_for: DepthFor, world_from_scene: Similarity) -> DepthFor:
    """Return the same for cameras in the known world."""

    def depth_in_world(index: int, camera: Camera) -> Tensor | None:
        pose = world_from_scene.inverse().moved_pose(camera.world_from_camera.double())
        depth = depth_for(index, replace(camera, world_from_camera=pose.float()))
        return None if depth is None else depth * world_from_scene.scale.item()

    return depth_in_world


def _with_scale(
    alignment: Alignment, votes: list[ScaleVote]
) -> tuple[Similarity, Scale, list[PriorCheck]]:
    """Return the similarity with the scale that the votes agree on, and what each is off by."""
    similarity = alignment.world_from_scene
    if not votes:
        return similarity, Scale("arbitrary", alignment.scale_source), []
    agreed = agreed_scale(votes)
    if agreed is None:
        checks = [contradiction(vote, votes) for vote in votes]
        return similarity, Scale("arbitrary", f"{_kinds(votes)} contradict each other"), checks
    log_scale, agrees = agreed
    if alignment.exact_scale:
        log_scale = math.log(similarity.scale.item())
        agrees = agreeing(votes, log_scale)
    pairs = list(zip(votes, agrees, strict=True))
    checks = [vote_check(vote, log_scale, agrees=agree) for vote, agree in pairs]
    kinds = _kinds([vote for vote, agree in pairs if agree]) or "known poses"
    return alignment.resized(math.exp(log_scale)), Scale("metric", kinds), checks


def _kinds(votes: Sequence[ScaleVote]) -> str:
    return " and ".join(dict.fromkeys(vote.kind for vote in votes))


def _known_poses(
    scene: Reconstruction,
    known: BoundPriors,
    alignment: Alignment,
    similarity: Similarity,
    weighed: Collection[int],
) -> dict[int, Float[Tensor, "4 4"]]:
    """Return the poses to be kept, in the world to be."""
    if alignment.world.axes != "known poses":
        return {}
    prior = known.priors.poses
    assert prior is not None
    places = torch.stack([pose[:3, 3] for pose in known.poses.values()])
    share_of_place = _share(prior.position_sigma, SCENE_PLACE * spread(places))
    share_of_turn = _share(prior.rotation_sigma_deg, SCENE_TURN_DEG)
    poses = {}
    for index, told in known.poses.items():
        pose, camera = told.clone(), scene.cameras[index]
        pose[:3, 3] *= alignment.units(similarity)
        if camera is not None and not prior.are_exact:
            found = camera.world_from_camera.double()
            # Between what contradicts each other there is no truth.
            stays = index in weighed or index in alignment.contradicted
            pose = found if stays else between(pose, found, share_of_place, share_of_turn)
        poses[index] = pose
    return poses


def _share(known_sigma: float, found_sigma: float) -> float:
    """Return the weight of a known value beside a found one."""
    return found_sigma**2 / max(found_sigma**2 + known_sigma**2, 1e-24)
