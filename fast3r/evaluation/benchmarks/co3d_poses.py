"""Camera poses on CO3Dv2: videos around objects."""

from pathlib import Path

from fast3r.data.config import Shape
from fast3r.data.dataset import PosedScenes
from fast3r.data.datasets.co3d import Co3d
from fast3r.data.datasets.co3d_raw import Co3dRaw
from fast3r.evaluation.benchmark import Benchmark
from fast3r.evaluation.benchmarks.pair_poses import AUC_30_BINNED, MAA_30, PairPoses, scenes_with

_UNSEEN = (
    *("ball", "book", "couch", "frisbee", "hotdog"),
    *("kite", "remote", "sandwich", "skateboard", "suitcase"),
)
"""Categories that RelPose keeps apart and that are not part of VGGT's test."""

_MIN_FRAMES = 50
"""Of a sequence in VGGT's test."""

_FAST3R_PAPER = {
    "COLMAP+SG (Fast3R paper †)": {
        "RRA@15 %": 36.1,
        "RRA@5 %": 24.4,
        "RTA@15 %": 27.3,
        "RTA@5 %": 17.2,
        MAA_30: 25.3,
    },
    "DUSt3R (Fast3R paper †)": {"RRA@15 %": 96.2, "RTA@15 %": 86.8, MAA_30: 76.7},
    "MASt3R (Fast3R paper †)": {
        "RRA@15 %": 94.6,
        "RRA@5 %": 93.2,
        "RTA@15 %": 91.9,
        "RTA@5 %": 86.2,
        MAA_30: 81.8,
    },
    "Fast3R (paper †)": {
        "RRA@15 %": 99.7,
        "RRA@5 %": 97.4,
        "RTA@15 %": 87.1,
        "RTA@5 %": 76.1,
        MAA_30: 82.5,
    },
}

_VGGT_PAPER = {
    "COLMAP+SPSG": 25.3,
    "DUSt3R": 76.7,
    "MASt3R": 81.8,
    "VGGSfM v2": 83.4,
    "MV-DUSt3R": 69.5,
    "CUT3R": 82.8,
    "FLARE": 83.3,
    "Fast3R": 82.5,
    "VGGT": 88.2,
    "VGGT + BA": 91.8,
}

_PI3_PAPER = {
    "CUT3R (Pi3 protocol †)": {AUC_30_BINNED: 75.82},
    "FLARE (Pi3 protocol †)": {AUC_30_BINNED: 73.99},
    "Fast3R (Pi3 protocol †)": {AUC_30_BINNED: 73.43, "RRA@30 %": 97.49, "RTA@30 %": 91.11},
    "VGGT (Pi3 protocol †)": {AUC_30_BINNED: 88.59},
    "Pi3 (Pi3 protocol †)": {AUC_30_BINNED: 88.41},
}

_PUBLISHED = {
    "fast3r": _FAST3R_PAPER,
    "vggt": {f"{row} (VGGT paper †)": {AUC_30_BINNED: v} for row, v in _VGGT_PAPER.items()},
    "pi3": _PI3_PAPER,
}
"""Of 10 views."""


def open_benchmark(root: Path, *, views: int, variant: str) -> Benchmark:
    """Return the benchmark; both the download and DUSt3R's preprocessing of it can be its root.

    Variants: `fast3r` cuts photos to 512x384; `vggt` and `pi3` leave them as they are, take
    sequences of at least 50 frames of the 41 categories that methods train on, and differ only in
    the figures beside ours.

    Raises:
        ValueError: The root is laid out differently.
    """
    papers_own = variant == "fast3r"
    dataset, source = _dataset(root)
    cases = scenes_with(dataset, views if papers_own else max(views, _MIN_FRAMES))
    if not papers_own:
        cases = [case for case in cases if case.split("/")[0] not in _UNSEEN]
        source += f", those of at least {_MIN_FRAMES} frames in the 41 training categories"
    return PairPoses(
        dataset=dataset,
        name=f"co3d-{variant}-{views}-views",
        views=views,
        source=source,
        cases=cases,
        shape=Shape(384, 512) if papers_own else None,
        published=_PUBLISHED[variant] if views == 10 else {},
    )


def _dataset(root: Path) -> tuple[PosedScenes, str]:
    if (root / "selected_seqs_test.json").exists():
        # Depth does not matter here, and some frames have none on their object.
        dataset = Co3d(root, split="test", mask_background=False)
        return dataset, "CO3Dv2, the test sequences of DUSt3R's preprocessing"
    source = "CO3Dv2, test sequences of the list fewview_dev with viewpoint quality above 0.5"
    return Co3dRaw(root), source
