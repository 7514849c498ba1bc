"""Which benchmarks there are, and how each is opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from fast3r.evaluation.benchmark import Benchmark


@dataclass(frozen=True)
class Listing:
    """A benchmark as the command line knows it, before anything of it is loaded."""

    summary: str
    """What it measures and on what, in one line."""

    module: str
    """Has the function `opener`."""

    opener: str = "open_benchmark"
    """A function of (root, *, views, variant) that returns a `Benchmark`, and raises ValueError
    where the root is not laid out as expected. Options that the listing has not are not passed.
    """

    needs_root: bool = True
    """Whether it reads a dataset from disk; else `root` is not passed."""

    views: tuple[int, ...] = ()
    """Photos of a case, one benchmark for each number; empty where the dataset decides."""

    cases: int | None = None
    """How many cases are used unless the user says otherwise; None: all."""

    variants: tuple[str, ...] = ()
    """Names of protocols, the first by default; empty where there is one."""


_ROOM = "fast3r.evaluation.benchmarks"

CATALOG: Mapping[str, Listing] = {
    "procedural": Listing(
        "poses, focal lengths and points of held-out procedural scenes; needs no dataset",
        f"{_ROOM}.procedural",
        needs_root=False,
        views=(2, 4, 8, 10),
        variants=("128px", "512px"),
    ),
    "scaling": Listing(
        "the same for 2 to 64 photos of 10 scenes: accuracy, time and memory as curves",
        f"{_ROOM}.procedural",
        needs_root=False,
        views=(2, 4, 8, 16, 32, 64),
        cases=10,
        variants=("128px", "512px"),
    ),
    "posed-photos": Listing(
        "poses of your own photos: folders with cameras.json, transforms.json or a COLMAP model",
        f"{_ROOM}.posed_photos",
        views=(10,),
    ),
    "co3d": Listing(
        "poses on CO3Dv2, videos around objects; as downloaded or as DUSt3R preprocesses it",
        f"{_ROOM}.co3d_poses",
        views=(3, 5, 10, 20),
        variants=("fast3r", "vggt", "pi3"),
    ),
    "re10k": Listing(
        "poses on RealEstate10K, clips of house tours",
        f"{_ROOM}.re10k_poses",
        views=(10,),
        variants=("fast3r", "vggt", "pi3"),
    ),
    "7-scenes": Listing(
        "surfaces of rooms on the test sequences of 7-Scenes",
        f"{_ROOM}.reconstruction",
        "open_seven_scenes",
        variants=("fast3r", "sparse", "dense"),
    ),
    "nrgbd": Listing(
        "surfaces of rendered rooms on NRGBD",
        f"{_ROOM}.reconstruction",
        "open_nrgbd",
        variants=("fast3r", "sparse", "dense"),
    ),
    "dtu": Listing(
        "surfaces of objects on DTU",
        f"{_ROOM}.reconstruction",
        "open_dtu",
        variants=("fast3r", "pi3"),
    ),
    "eth3d-depth": Listing(
        "depth of a photo among others on ETH3D",
        f"{_ROOM}.multiview_depth",
        "open_eth3d",
        variants=("robustmvd", "spread"),
    ),
    "dtu-depth": Listing(
        "depth of a photo among others on DTU",
        f"{_ROOM}.multiview_depth",
        "open_dtu",
        variants=("robustmvd", "spread"),
    ),
    "scannet-depth": Listing(
        "depth of a photo among others on ScanNet",
        f"{_ROOM}.multiview_depth",
        "open_scannet",
        variants=("robustmvd", "spread"),
    ),
    "tanks-and-temples-depth": Listing(
        "depth of a photo among others on RobustMVD's Tanks and Temples",
        f"{_ROOM}.multiview_depth",
        "open_tanks_and_temples",
    ),
    "tum": Listing(
        "camera paths of videos with people in motion on TUM RGB-D",
        f"{_ROOM}.trajectories",
        "open_tum",
    ),
    "scannet": Listing(
        "camera paths of videos of rooms on ScanNet",
        f"{_ROOM}.trajectories",
        "open_scannet",
    ),
}
"""Every benchmark by its name on the command line."""


def listing_of(name: str) -> Listing:
    """Return what the catalog says of a benchmark.

    Raises:
        ValueError: There is none of this name.
    """
    if name not in CATALOG:
        rows = "\n".join(f"  {known}: {listing.summary}" for known, listing in CATALOG.items())
        raise ValueError(f"there is no benchmark {name!r}; there are\n{rows}")
    return CATALOG[name]


def open_benchmarks(
    name: str, root: Path | None, *, views: Sequence[int] = (), variant: str | None = None
) -> list[Benchmark]:
    """Return a benchmark, once for each number of views.

    Args:
        name: Of the catalog.
        root: Folder of the dataset.
        views: Photos of a case; by default those of the catalog.
        variant: Of the protocol; by default the first of the catalog.

    Raises:
        ValueError: The name or the variant is unknown, an option does not apply, or the root is
            missing or not laid out as expected.
    """
    listing = listing_of(name)
    _check(name, listing, root, views, variant)
    options = {}
    if listing.needs_root:
        options["root"] = root
    if listing.variants:
        options["variant"] = variant or listing.variants[0]
    open_benchmark = getattr(import_module(listing.module), listing.opener)
    if not listing.views:
        return [open_benchmark(**options)]
    return [open_benchmark(**options, views=count) for count in views or listing.views]


def _check(
    name: str, listing: Listing, root: Path | None, views: Sequence[int], variant: str | None
) -> None:
    if listing.needs_root and root is None:
        raise ValueError(f"{name} needs its dataset: fast3r evaluate {name} FOLDER")
    if not listing.needs_root and root is not None:
        raise ValueError(f"{name} makes its own photos; leave out {root}")
    if views and not listing.views:
        raise ValueError(f"{name} has fixed numbers of views; leave out --views")
    if any(count < 2 for count in views):
        raise ValueError(f"--views must be at least 2 each, got {min(views)}")
    if variant is not None and variant not in listing.variants:
        known = ", ".join(listing.variants) or "no variants"
        raise ValueError(f"{name} has {known}; got --variant {variant}")
