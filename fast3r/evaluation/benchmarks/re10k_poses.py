"""Camera poses on RealEstate10K: clips of house tours."""

from pathlib import Path

from fast3r.data.config import Shape
from fast3r.data.datasets.re10k import Re10k
from fast3r.evaluation.benchmark import Benchmark
from fast3r.evaluation.benchmarks.pair_poses import AUC_30_BINNED, MAA_30, PairPoses, scenes_with

_LISTS = {
    "fast3r": "re10k_test_1800.txt",
    "vggt": "re10k_test_1800.txt",
    "pi3": "re10k_test_1719.txt",
}
"""Clips that papers use, by the names of the files in their repositories: PoseDiffusion's, which
has 1832, and those of them whose videos Pi3 could still get."""

_VGGT_PAPER = {
    "COLMAP+SPSG": 45.2,
    "DUSt3R": 67.7,
    "MASt3R": 76.4,
    "VGGSfM v2": 78.9,
    "MV-DUSt3R": 71.3,
    "CUT3R": 75.3,
    "FLARE": 78.8,
    "Fast3R": 72.7,
    "VGGT": 85.3,
    "VGGT + BA": 93.5,
}

_PUBLISHED = {
    "fast3r": {"Fast3R (paper, unverified)": {MAA_30: 72.7}},
    "vggt": {f"{row} (VGGT paper †)": {AUC_30_BINNED: v} for row, v in _VGGT_PAPER.items()},
    "pi3": {
        "CUT3R (Pi3 protocol †)": {AUC_30_BINNED: 81.47},
        "FLARE (Pi3 protocol †)": {AUC_30_BINNED: 80.01},
        "Fast3R (Pi3 protocol †)": {AUC_30_BINNED: 61.68, "RRA@30 %": 99.05, "RTA@30 %": 81.86},
        "VGGT (Pi3 protocol †)": {AUC_30_BINNED: 77.62},
        "Pi3 (Pi3 protocol †)": {AUC_30_BINNED: 85.90},
    },
}
"""Of 10 views."""


def open_benchmark(root: Path, *, views: int, variant: str) -> Benchmark:
    """Return the benchmark.

    Variants: `fast3r` cuts photos to 512x288; `vggt` and `pi3` leave them as they are. Each takes
    the clips of a list if that lies in the root (`re10k_test_1800.txt` of PoseDiffusion,
    `re10k_test_1719.txt` of Pi3), else all clips of the test split.

    Raises:
        ValueError: The root is laid out differently.
    """
    listing = root / _LISTS[variant]
    dataset = Re10k(root, clips=listing if listing.exists() else None)
    clips = "all clips found of the test split"
    if listing.exists():
        clips = f"clips of {listing.name}, {len(dataset.missing)} of which have no photos here"
    return PairPoses(
        dataset=dataset,
        name=f"re10k-{variant}-{views}-views",
        views=views,
        source=f"RealEstate10K, {clips}",
        cases=scenes_with(dataset, views),
        shape=Shape(288, 512) if variant == "fast3r" else None,
        published=_PUBLISHED[variant] if views == 10 else {},
    )
