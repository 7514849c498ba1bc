"""Figures of papers for reconstruction; † marks those read in a copy by others."""

from collections.abc import Mapping

Rows = Mapping[str, Mapping[str, float]]


def _medians(unit: str, rows: Mapping[str, tuple[float, float]]) -> Rows:
    columns = (f"accuracy median {unit}", f"completeness median {unit}")
    return {row: dict(zip(columns, values, strict=True)) for row, values in rows.items()}


def _means(unit: str, rows: Mapping[str, tuple[float, float, float]]) -> Rows:
    columns = (f"accuracy {unit}", f"completeness {unit}", "normals")
    return {row: dict(zip(columns, values, strict=True)) for row, values in rows.items()}


PUBLISHED: Mapping[tuple[str, str], Rows] = {
    ("7-scenes", "fast3r"): _medians(
        "m",
        {
            "F-Recon (Fast3R paper †)": (0.0762, 0.0231),
            "DUSt3R at 224 px (Fast3R paper †)": (0.0123, 0.0091),
            "Spann3R (Fast3R paper †)": (0.0148, 0.0085),
            "Fast3R (paper †)": (0.0158, 0.0093),
        },
    ),
    ("nrgbd", "fast3r"): _medians(
        "m",
        {
            "F-Recon (Fast3R paper †)": (0.2059, 0.0631),
            "DUSt3R at 224 px (Fast3R paper †)": (0.0251, 0.0103),
            "Spann3R (Fast3R paper †)": (0.0315, 0.0110),
            "Fast3R (paper †)": (0.0340, 0.0101),
        },
    ),
    ("dtu", "fast3r"): _medians(
        "mm",
        {
            "DUSt3R (Fast3R paper †)": (1.159, 0.914),
            "Spann3R (Fast3R paper †)": (2.268, 1.295),
            "Fast3R (paper †)": (1.706, 0.857),
        },
    ),
    ("7-scenes", "sparse"): _means(
        "m",
        {
            "DUSt3R-GA (CUT3R protocol †)": (0.146, 0.181, 0.736),
            "MASt3R-GA (CUT3R protocol †)": (0.189, 0.211, 0.687),
            "CUT3R (CUT3R protocol †)": (0.126, 0.154, 0.727),
            "VGGT (CUT3R protocol †)": (0.087, 0.091, 0.787),
            "DA3-Large (CUT3R protocol †)": (0.086, 0.088, 0.756),
            "STream3R (CUT3R protocol †)": (0.122, 0.110, 0.746),
        },
    ),
    ("nrgbd", "sparse"): _means(
        "m",
        {
            "Fast3R (Test3R †)": (0.377, 0.254, 0.695),
            "DUSt3R-GA (CUT3R protocol †)": (0.144, 0.154, 0.871),
            "MASt3R-GA (CUT3R protocol †)": (0.085, 0.063, 0.794),
            "CUT3R (CUT3R protocol †)": (0.099, 0.076, 0.837),
            "VGGT (CUT3R protocol †)": (0.073, 0.077, 0.910),
            "DA3-Large (CUT3R protocol †)": (0.045, 0.061, 0.896),
            "STream3R (CUT3R protocol †)": (0.057, 0.028, 0.910),
        },
    ),
    ("dtu", "pi3"): _means(
        "mm",
        {
            "Fast3R (Pi3 paper †)": (3.340, 2.929, 0.671),
            "VGGT (Pi3 paper †)": (1.338, 1.896, 0.676),
            "Pi3 (Pi3 paper †)": (1.198, 1.849, 0.678),
        },
    ),
}
"""By dataset and variant: row -> column -> value."""
