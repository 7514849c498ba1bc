"""What the photos of a scene say, whatever the network said: features and verified matches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from fast3r.scene.refinement.features import Effort, Features, find_features
from fast3r.scene.refinement.matching import Pair, VerifiedPair, likely_pairs, match, verify
from fast3r.scene.refinement.photos import WorkingPhoto
from fast3r.scene.refinement.threads import each
from fast3r.scene.stages import StageRecorder


@dataclass(frozen=True)
class Evidence:
    """Lists run parallel to the views of the scene."""

    photos: list[WorkingPhoto]
    """At the size that features were looked for."""

    features: list[Features]
    """Of each photo."""

    verified: Mapping[Pair, VerifiedPair]
    """Matches by indices of the views, the smaller first."""


def gather_evidence(
    photos: Sequence[WorkingPhoto], effort: Effort, *, seed: int, recorder: StageRecorder
) -> Evidence:
    """Return features and verified matches of photos.

    Args:
        photos: Of all views, placed by the network or not.
        effort: How hard to look.
        seed: Of all sampling.
        recorder: Told of progress.
    """
    again = "" if effort == "usual" else f", {effort}"
    with recorder.stage(f"features{again}") as tell:
        features = each(partial(find_features, effort=effort), photos, tell)

    def verified(pair: Pair) -> VerifiedPair | None:
        first, second = (features[i] for i in pair)
        matches = match(first, second, effort)
        return verify([photos[i] for i in pair], [first, second], matches, seed=seed)

    with recorder.stage(f"matches{again}") as tell:
        pairs = likely_pairs(features)
        found = zip(pairs, each(verified, pairs, tell), strict=True)
        kept = {pair: proven for pair, proven in found if proven is not None}
    return Evidence(list(photos), features, kept)
