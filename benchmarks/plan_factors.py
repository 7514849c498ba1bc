"""The factors of the plan's formulas for time that explain measured runs best."""

from collections.abc import Sequence

import torch

from benchmarks.forward import MODELS
from benchmarks.plan import Measurement, situation
from fast3r.scene.plan.rates import Rates
from fast3r.scene.plan.work import Work, encoder_work, fusion_work, heads_work


def fitted_factors(rows: Sequence[Measurement]) -> dict[str, float]:
    """Return the factors of the time formulas that explain the rows best, relative to each."""
    kinds = ("linear", "attention", "convolution", "elementwise")
    equations = []
    for row in rows:
        config = MODELS[row.configuration.model]
        work = situation(row.configuration, 0).workload
        for stage, of in (
            ("encoder", encoder_work),
            ("fusion", fusion_work),
            ("heads", heads_work),
        ):
            seconds = row.measured_s[stage]
            equations.append([part / seconds for part in _parts(of(config, work), row.rates)])
    cameras, writing = [], []
    for row in rows:
        work, copy = situation(row.configuration, 0).workload, row.rates.copy
        seconds = copy * row.measured_s["cameras"]
        cameras.append([work.pixels / seconds, len(work) / seconds])
        writing.append([work.pixels / copy / row.measured_s["writing"]])
    return {
        **dict(zip(kinds, _explained(equations), strict=True)),
        **dict(zip(("camera bytes", "camera view bytes"), _explained(cameras), strict=True)),
        "writing bytes": _explained(writing)[0],
    }


def _explained(equations: list[list[float]]) -> list[float]:
    """Return non-negative factors of which each equation gives about 1."""
    from scipy.optimize import nnls

    matrix = torch.tensor(equations, dtype=torch.float64).numpy()
    factors, _ = nnls(matrix, torch.ones(len(matrix), dtype=torch.float64).numpy())
    return [float(f"{factor:.3g}") for factor in factors]


def _parts(work: Work, rates: Rates) -> list[float]:
    return [
        work.linear / rates.linear,
        work.attention / rates.attention,
        work.convolution / rates.convolution,
        4 * work.numbers / rates.copy,
    ]
