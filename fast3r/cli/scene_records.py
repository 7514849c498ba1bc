"""What `fast3r scene` did, as its JSON files tell it."""

import math

from fast3r.scene.joining import Joint
from fast3r.scene.living.adding import AddedPhoto
from fast3r.scene.living.localizing import Evidence, Localization
from fast3r.scene.living.merging import Merged

Record = dict[str, object]


def added_entry(photo: AddedPhoto) -> Record:
    """Return what became of a new photo."""
    return {
        "name": photo.name,
        "outcome": photo.outcome,
        **_evidence_entry(photo),
    }


def localized_entry(place: Localization) -> Record:
    """Return where a photo was found, and on what that rests."""
    return {
        "name": place.view.name,
        "found": place.camera is not None,
        **_evidence_entry(place),
    }


def _evidence_entry(evidence: Evidence) -> Record:
    return {
        "reason": evidence.reason,
        "references": evidence.references,
        "confirmed": _number(evidence.confirmed),
        "matches": evidence.matches,
        "joint": _joint_entry(evidence.joint),
    }


def _joint_entry(joint: Joint | None) -> Record | None:
    if joint is None:
        return None
    fit = joint.a_from_b
    return {
        "inlier_ratio": joint.inlier_ratio,
        "residual": _number(joint.residual),
        "rotation_deg": _number(joint.rotation_deg),
        "views": joint.views,
        "scale": None if fit is None else fit.scale.item(),
        "reason": joint.reason,
    }


def _number(value: float) -> float | None:
    """Return a number as JSON has it, which has no nan."""
    return None if math.isnan(value) else value


def merged_entry(merged: Merged) -> Record:
    """Return how two scenes were brought together."""
    return {
        "first_from_second": merged.a_from_b.matrix.tolist(),
        "scale": merged.a_from_b.scale.item(),
        "shared": [list(names) for names in merged.shared],
        "bridge": merged.bridge,
        "joints": [_joint_entry(joint) for joint in merged.joints],
        "renamed": merged.renamed,
        "checks": list(map(str, merged.checks)),
    }
