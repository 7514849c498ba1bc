"""How two scenes without common photos lie to each other, by a pass over views of both."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import Similarity
from fast3r.models.fast3r import Fast3R
from fast3r.scene.joining import Joint, join
from fast3r.scene.living.choosing import likeness, patch_features
from fast3r.scene.living.placing import PassOptions, confirm, contradiction, run_pass
from fast3r.scene.living.removing import subset
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder


@dataclass(frozen=True)
class Bridge:
    """How two scenes lie to each other, and what says so."""

    a_from_b: Similarity
    """In float64."""

    joints: list[Joint]
    """How well the pass agrees with the first scene, and with the second."""

    views: list[str]
    """Names of the views of the pass, those of the first scene first."""


def bridge(
    a: Reconstruction,
    b: Reconstruction,
    model: Fast3R,
    options: PassOptions,
    *,
    max_views: int,
    recorder: StageRecorder,
) -> Bridge:
    """Return how b lies in a, by a pass over the views of both that are most alike.

    Raises:
        ValueError: The pass does not agree with both scenes, or they do not see the same surface.
    """
    if max_views < 4:
        raise ValueError(f"max_bridge_views must be at least 4, two of each scene; got {max_views}")
    with recorder.stage("choose views"):
        from_a, from_b = _most_alike(_likeness(a, b, model, options.size), max_views // 2)
    chosen_a, chosen_b = subset(a, from_a), subset(b, from_b)
    passed = run_pass([chosen_a, chosen_b], [], model, options, recorder)
    here, there = range(len(from_a)), range(len(from_b))
    to_a = join(chosen_a, passed, [(i, i) for i in here], seed=options.seed)
    to_b = join(chosen_b, passed, [(j, len(from_a) + j) for j in there], seed=options.seed)
    for joint, which in ((to_a, "first"), (to_b, "second")):
        reason = contradiction(joint)
        if reason is not None:
            raise ValueError(
                f"no photo that the scenes have in common joins them, and a pass over "
                f"{len(passed.views)} views of both does not agree with the {which}: {reason}"
            )
    assert to_a.a_from_b is not None
    assert to_b.a_from_b is not None
    a_from_b = to_a.a_from_b @ to_b.a_from_b.inverse()
    _refuse_strangers(chosen_a, chosen_b.transformed(a_from_b))
    return Bridge(a_from_b, [to_a, to_b], [v.name for v in (*chosen_a.views, *chosen_b.views)])


def _likeness(
    a: Reconstruction, b: Reconstruction, model: Fast3R, size: int | None
) -> Float[Tensor, "some others"]:
    """Return how alike the views of two scenes are; -inf for those without a camera."""
    features_a, features_b = (
        patch_features([scene.views[i] for i in scene.registered], model, size=size)
        for scene in (a, b)
    )
    scores = torch.full((len(a.views), len(b.views)), -torch.inf)
    scores[torch.tensor(a.registered)[:, None], torch.tensor(b.registered)] = likeness(
        features_a, features_b
    )
    return scores


def _most_alike(scores: Float[Tensor, "some others"], count: int) -> tuple[list[int], list[int]]:
    """Return at most so many views of either scene, by the pairs that are most alike."""
    some: dict[int, None] = {}
    others: dict[int, None] = {}
    ordered = scores.flatten().sort(descending=True, stable=True)
    for value, place in zip(ordered.values.tolist(), ordered.indices.tolist(), strict=True):
        if value == -torch.inf or len(some) == len(others) == count:
            break
        i, j = divmod(place, scores.shape[1])
        for chosen, index in ((some, i), (others, j)):
            if len(chosen) < count:
                chosen[index] = None
    return list(some), list(others)


def _refuse_strangers(a: Reconstruction, b_in_a: Reconstruction) -> None:
    """Refuse scenes that do not see the same surface where a pass has put them.

    Raises:
        ValueError: No view of b shows what a has, in the same place.
    """
    references = range(len(a.views))
    reasons = [confirm(a, references, b_in_a, j)[1] for j in range(len(b_in_a.views))]
    if None not in reasons:
        raise ValueError(
            "no photo that the scenes have in common joins them, and where a pass over views of "
            "both puts them they do not show the same surface: "
            f"{b_in_a.views[0].name}: {reasons[0]}"
        )
