"""A finished scene in other units, about another origin, with z pointing up."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import Similarity, rotation_exp
from fast3r.scene.living.ground import MAX_TILT_DEG, ground_plane
from fast3r.scene.living.removing import indices_of
from fast3r.scene.priors.applying import with_priors
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.types import Distance, Gravity, Priors
from fast3r.scene.reconstruction import Reconstruction, World

Up = Literal["upright", "ground"]
"""How to find the vertical: from photos that were taken upright, or from the largest plane that the
cameras stand above."""

_MAX_RESIZE = 0.1


def align_scene(
    scene: Reconstruction,
    *,
    up: Up | None = None,
    distances: Sequence[Distance] = (),
    origin: str | int | Literal["cameras"] | None = None,
    seed: int = 0,
) -> Reconstruction:
    """Return the scene turned, resized and shifted; its shape stays.

    What was known of it before is kept where this leaves it true: lengths among the checks of
    priors go when the unit changes, and a place on the Earth goes when the origin or the axes do.

    Args:
        scene: With cameras.
        up: Makes the z axis point up. "upright" trusts that most photos were taken with level
            rows; "ground" fits the largest plane within 45 degrees of that, and puts z = 0 there.
        distances: Measured lengths between pixels or cameras; they make the unit the metre.
        origin: A view, by name or index, whose camera becomes the origin; or "cameras", for the
            middle of all. Under "ground" alone it is on the ground below that middle.
        seed: Of all sampling.

    Raises:
        ValueError: Nothing was asked for, a view or pixel is unknown, no distance can be used or
            all contradict each other, or there is no plane.
    """
    if up is None and origin is None and not distances:
        raise ValueError("align: say what to align: up, distances or origin")
    if up not in (None, *get_args(Up)):
        raise ValueError(f"align: up must be upright or ground, got {up!r}")
    scene.posed_views()
    if up is not None:
        scene = _upright(scene, seed)
    if up == "ground":
        scene = _on_ground(scene, seed)
    if distances:
        scene = _resized(scene, distances, seed)
    return scene if origin is None else _about(scene, origin)


def _upright(scene: Reconstruction, seed: int) -> Reconstruction:
    turned = with_priors(scene, Priors(gravity=Gravity("upright")), seed=seed)
    return replace(turned, scale=scene.scale, prior_checks=scene.prior_checks)


def _on_ground(scene: Reconstruction, seed: int) -> Reconstruction:
    """Return an upright scene whose z axis is normal to the ground, and whose ground is z = 0."""
    plane = ground_plane(scene, seed=seed)
    rotation = _shortest_turn(plane.normal, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    shift = -(rotation @ plane.below_cameras)
    turned = scene.transformed(
        replace(Similarity.identity(), rotation=rotation, translation=shift), scale=scene.scale
    )
    tilt_deg = math.degrees(math.acos(min(1.0, plane.normal[2].item())))
    check = PriorCheck(
        "ground",
        "agrees",
        tilt_deg,
        MAX_TILT_DEG,
        "deg",
        f"{plane.share:.0%} of the points lie on it",
    )
    return replace(turned, world=World("gravity"), prior_checks=[*scene.prior_checks, check])


def _resized(scene: Reconstruction, distances: Sequence[Distance], seed: int) -> Reconstruction:
    sized = with_priors(scene, Priors(distances=tuple(distances)), seed=seed)
    if sized.scale.kind != "metric":
        said = "; ".join(map(str, sized.prior_checks))
        raise ValueError(f"align: the distances tell no scale: {said}")
    checks = [check for check in scene.prior_checks if check.unit not in ("m", "units")]
    if scene.scale.kind == "metric":
        checks.append(_beside_former_scale(scene, sized))
    return replace(sized, world=scene.world, prior_checks=[*checks, *sized.prior_checks])


def _beside_former_scale(scene: Reconstruction, sized: Reconstruction) -> PriorCheck:
    factor = _extent(sized) / _extent(scene)
    percent = 100 * math.expm1(abs(math.log(factor)))
    note = f"a metre by {scene.scale.source} was {factor:.3g} m by the distances"
    status = "agrees" if percent <= 100 * _MAX_RESIZE else "disagrees"
    return PriorCheck("former scale", status, percent, 100 * _MAX_RESIZE, "%", note)


def _extent(scene: Reconstruction) -> float:
    """Return a length that grows with the unit of the world, and is not 0."""
    centres = torch.stack([c.world_from_camera[:3, 3] for _, _, c in scene.posed_views()])
    deepest = max(scene.depth[index].amax().item() for index in scene.registered)
    return max(deepest, torch.pdist(centres.double()).amax().item() if len(centres) > 1 else 0.0)


def _about(scene: Reconstruction, origin: str | int) -> Reconstruction:
    if origin == "cameras":
        place = torch.stack([c.world_from_camera[:3, 3] for _, _, c in scene.posed_views()])
        place = place.double().mean(dim=0)
    else:
        (index,) = indices_of(scene, origin, what="origin")
        camera = scene.cameras[index]
        if camera is None:
            name, reason = scene.views[index].name, scene.failures[index]
            raise ValueError(f"origin: {name} has no camera ({reason}); name another view")
        place = camera.world_from_camera[:3, 3].double()
    shift = replace(Similarity.identity(), translation=-place)
    moved = scene.transformed(shift, scale=scene.scale)
    return replace(moved, world=World(scene.world.axes))


def _shortest_turn(
    source: Float[Tensor, " 3"], target: Float[Tensor, " 3"]
) -> Float[Tensor, "3 3"]:
    """Return the rotation that takes one unit vector to another, less than half a turn away."""
    axis = torch.linalg.cross(source, target)
    sine, cosine = axis.norm(), source @ target
    return rotation_exp(axis * (torch.atan2(sine, cosine) / sine).nan_to_num(1.0))
