"""Which methods there are by name, and how each is opened."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from fast3r.evaluation.benchmark import Method
from fast3r.scene.machine import Precision

if TYPE_CHECKING:
    from fast3r.evaluation.methods.fast3r import Points

METHODS = {
    "fast3r": "our models, with points from depth and cameras",
    "fast3r-world-points": "our models, with points as the world head gives them",
    "fast3r-pointmaps": "our models, with cameras from the pointmaps alone and not from matches",
    "fast3r-refined": "our models and then bundle adjustment, as with --refine",
    "fast3r-ensemble": "our models, four passes fused; also -2 and -8 at the end, for so many",
    "colmap-incremental": "COLMAP with SIFT on the CPU; photos of one size share a camera",
    "colmap-global": "the same with global mapping (GLOMAP)",
    "trivial": "cameras on a line before flat walls: what must be beaten",
    "python:MODULE:FUNCTION": "any other model, see docs/evaluation.md",
}
"""What each is, in one line."""


_POINTS: "dict[str, Points]" = {
    "fast3r": "depth",
    "fast3r-world-points": "world",
    "fast3r-pointmaps": "pointmaps",
    "fast3r-refined": "refined",
}

_PASSES = {"fast3r-ensemble": 4, "fast3r-ensemble-2": 2, "fast3r-ensemble-8": 8}


def open_methods(
    names: Sequence[str],
    *,
    models: Sequence[str],
    device: str = "auto",
    precision: Literal["auto"] | Precision = "auto",
    size: int | None = None,
    seed: int = 0,
) -> list[Method]:
    """Return methods by name; those of our models once for each model.

    Args:
        names: Of `METHODS`.
        models: Names or paths of weights.
        device: Of our models.
        precision: Of our models.
        size: Long side in pixels at which our models see the photos; by default their own.
        seed: Of everything random.

    Raises:
        ValueError: A name is unknown, given twice, or an option does not fit.
        ImportError: A method needs an extra that is not installed.
    """
    known = (*METHODS, *_PASSES)
    unknown = [name for name in names if name not in known and not name.startswith("python:")]
    if unknown:
        rows = "\n".join(f"  {name}: {summary}" for name, summary in METHODS.items())
        raise ValueError(f"there is no method {unknown[0]!r}; there are\n{rows}")
    methods: list[Method] = []
    for name in names:
        if not name.startswith("fast3r"):
            methods.append(_open_other(name, seed))
            continue
        from fast3r.evaluation.methods.fast3r import open_fast3r

        methods += [
            open_fast3r(
                model,
                points=_POINTS.get(name, "depth"),
                passes=_PASSES.get(name, 1),
                device=device,
                precision=precision,
                size=size,
                seed=seed,
            )
            for model in models
        ]
    _check_unique([method.name for method in methods])
    return methods


def _open_other(name: str, seed: int) -> Method:
    if name.startswith("python:"):
        from fast3r.evaluation.methods.adapter import open_adapter

        return open_adapter(name)
    if name == "trivial":
        from fast3r.evaluation.methods.trivial import Trivial

        return Trivial()
    from fast3r.evaluation.methods.colmap import Colmap

    return Colmap("global" if name == "colmap-global" else "incremental", seed=seed)


def _check_unique(names: Sequence[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(
            f"two methods are called {twice[0]}; give each once, and models in folders of "
            "different names"
        )
