"""What a run has to compute, counted by hand: floating-point operations and bytes, by stage."""

from collections import Counter
from dataclasses import dataclass

from fast3r.models.config import Fast3RConfig, HeadConfig
from fast3r.models.matching import LEVELS, match_head_widths
from fast3r.scene.plan.workload import Workload


@dataclass(frozen=True)
class Work:
    """Operations of one stage; a multiplication and an addition are two."""

    linear: float = 0.0
    """In linear layers."""

    attention: float = 0.0
    """In attention."""

    convolution: float = 0.0
    """In convolutions."""

    numbers: float = 0.0
    """Numbers that elementwise operations write."""


def encoder_work(config: Fast3RConfig, workload: Workload) -> Work:
    """Return the work of encoding every view, masked patches included."""
    encoder = config.encoder
    seen = sum(
        count * (height * width // encoder.patch**2) ** 2
        for (height, width), count in workload.by_size.items()
    )
    embedding = 2 * 3 * encoder.patch**2 * encoder.width
    linear = encoder.depth * 2 * encoder.width**2 * (4 + 2 * encoder.mlp_ratio) + embedding
    return Work(
        linear=workload.patches * linear,
        attention=4 * encoder.width * encoder.depth * seen,
        numbers=workload.patches * encoder.width * encoder.depth * 12,
    )


def fusion_work(config: Fast3RConfig, workload: Workload) -> Work:
    """Return the work of the blocks in which tokens look at all views or, alternately, at one."""
    fusion, tokens = config.fusion, workload.total_tokens
    alone = fusion.depth // 2 if fusion.alternate else 0
    within = sum(count**2 * views for count, views in Counter(workload.tokens).items())
    linear = fusion.depth * 2 * fusion.width**2 * (4 + 2 * fusion.mlp_ratio)
    return Work(
        linear=tokens * (linear + 2 * config.encoder.width * fusion.width),
        attention=4 * fusion.width * ((fusion.depth - alone) * tokens**2 + alone * within),
        numbers=tokens * fusion.width * fusion.depth * 12,
    )


def heads_work(config: Fast3RConfig, workload: Workload) -> Work:
    """Return the work of the heads."""
    heads = 2 if config.head.local else 1
    widths = (config.encoder.width, *[config.fusion.width] * 3)
    operations, numbers = _head_per_patch(config.head, widths, config.encoder.patch)
    patches = heads * workload.patches
    hidden, told = match_head_widths(widths) if config.head.matches else (0, 0)
    return Work(
        linear=workload.patches * 2 * hidden * (sum(widths[level] for level in LEVELS) + told),
        convolution=patches * operations,
        numbers=patches * numbers,
    )


def _head_per_patch(
    head: HeadConfig, token_widths: tuple[int, ...], patch: int
) -> tuple[float, float]:
    """Return operations and elementwise results of one head for each patch."""
    features, last, widths = head.features, head.last_features, head.level_widths
    places = (16, 4, 1, 0.25)  # of each level, for one patch
    project = sum(a * b for a, b in zip(token_widths, widths, strict=True))
    resample = 16 * widths[0] ** 2 + 4 * widths[1] ** 2 + 9 * widths[3] ** 2 / 4
    reduce = sum(9 * width * features * at for width, at in zip(widths, places, strict=True))
    convolutions = (4, 4, 4, 2)  # the coarsest level has nothing to merge
    refine = sum((9 * n + 1) * features**2 * at for n, at in zip(convolutions, places, strict=True))
    pixels = patch**2
    out = 64 * 9 * features * last + pixels * (9 * last**2 + 4 * last)
    elementwise = features * (64 + 6 * sum(places)) + 3 * pixels * last + 64 * last + 20 * pixels
    return 2 * (project + resample + reduce + refine + out), elementwise
