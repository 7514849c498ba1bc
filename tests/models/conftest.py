"""Golden numbers of the reference, and small models to test with."""

import importlib.util
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor

from fast3r.models.checkpoints import load_model
from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.config_files import read_config
from fast3r.models.fast3r import Fast3R
from fast3r.models.names import PUBLISHED, renamed
from fast3r.models.prediction import Prediction

OUTPUTS = ("pts3d_in_other_view", "conf", "pts3d_local", "conf_local")
TOLERANCES = {torch.float32: (1e-3, 5e-4), torch.float64: (1e-6, 1e-6)}


class Golden:
    """What the reference computes; see tests/data/golden/NOTES.md."""

    folder = Path(__file__).parents[1] / "data" / "golden"

    @lru_cache  # noqa: B019 (lives as long as the session)
    def case(self, name: str) -> dict[str, Tensor]:
        with np.load(self.folder / f"case_{name}.npz") as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    def config(self, name: str) -> Fast3RConfig:
        return read_config(json.loads((self.folder / f"{name}.json").read_text()))

    def model(self, config: str = "config") -> Fast3R:
        if config in ("config_fulldpt", "config_released"):
            return self.fill(Fast3R(self.config(config)).eval())
        return load_model(self.folder, device="cpu", config=self.config(config))

    def fill(self, model: Fast3R) -> Fast3R:
        """Give a model weights with which every part of it matters to the output."""
        spec = importlib.util.spec_from_file_location("weights", self.folder / "golden_weights.py")
        assert spec is not None
        assert spec.loader is not None
        weights = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(weights)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                published = renamed(name, PUBLISHED, to_ours=False) or name
                parameter.copy_(torch.from_numpy(weights.value(published, parameter.shape)))
        return model

    def images(self, case: str) -> list[Tensor]:
        """Return one tensor (B, 3, H, W) a view, in [0, 1]."""
        arrays = self.case(case)
        views = sum(key.endswith("_img") for key in arrays)
        return [arrays[f"view{v}_img"] / 2 + 0.5 for v in range(views)]

    def ids(self, case: str) -> Tensor | None:
        return self.case(case).get("image_ids")

    def excess(self, predictions: list[Prediction], case: str, dtype: torch.dtype) -> float:
        """Return the largest difference, in units of what the dtype is allowed."""
        rtol, atol = TOLERANCES[dtype]
        worst = torch.zeros(())
        for got, want in self.pairs(predictions, case):
            assert got.dtype == want.dtype
            assert got.shape == want.shape
            worst = worst.maximum(((got - want).abs() / (atol + rtol * want.abs())).max())
        return float(worst)

    def check_rounding(self, predictions: list[Prediction]) -> None:
        """Refuse predictions of n2_landscape worse than the reference's under bfloat16 autocast.

        Both are roundings of the same numbers, and differ from them by chance: measured on CPU,
        ours by 0.9 times as much on average, and by at most 1.6 times as much for one of the
        eight outputs.
        """
        exact = self.pairs(predictions, "n2_landscape")
        rounded = [want for _, want in self.pairs(predictions, "n2_landscape_bf16autocast")]
        ours = torch.stack([(got.float() - want).abs().mean() for got, want in exact])
        pairs = zip(rounded, exact, strict=True)
        theirs = torch.stack([(got - want).abs().mean() for got, (_, want) in pairs])
        assert ours.mean() < 1.25 * theirs.mean()
        assert (ours < 2.5 * theirs).all()

    def pairs(self, predictions: list[Prediction], case: str) -> list[tuple[Tensor, Tensor]]:
        """Return every output beside the reference's."""
        arrays, pairs = self.case(case), []
        assert sum(key.endswith("_conf") for key in arrays) == len(predictions)
        for view, prediction in enumerate(predictions):
            for output, got in zip(OUTPUTS, parts(prediction), strict=True):
                pairs.append((got.detach().cpu(), arrays[f"view{view}_{output}"]))
        return pairs


def parts(prediction: Prediction) -> list[Tensor]:
    """Return points and confidence, world first."""
    maps = [prediction.world, prediction.local]
    return [part for m in maps if m is not None for part in (m.points, m.confidence)]


def assert_same(
    found: list[Prediction], wanted: list[Prediction], *, rtol: float = 1e-4, atol: float = 1e-4
) -> None:
    for a, b in zip(found, wanted, strict=True):
        for got, want in zip(parts(a), parts(b), strict=True):
            torch.testing.assert_close(got, want, rtol=rtol, atol=atol)


def images_of(
    sizes: list[tuple[int, int]],
    batch: int = 1,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> list[Tensor]:
    """Return one tensor of noise (B, 3, H, W) a size."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(batch, 3, *size, generator=generator, dtype=dtype) for size in sizes]


@pytest.fixture(scope="session")
def golden() -> Golden:
    return Golden()


TINY = Fast3RConfig(
    encoder=EncoderConfig(width=32, depth=2, heads=2),
    fusion=FusionConfig(width=24, depth=4, heads=2),
    head=HeadConfig(features=8, last_features=8, level_widths=(4, 8, 8, 16)),
)


BUNDLED_KIND = replace(
    TINY,
    encoder=replace(TINY.encoder, absolute_position=True, patch=8),
    fusion=replace(TINY.fusion, absolute_position=True, alternate=True),
)
"""As `TINY`, with all that the bundled model has and the published one has not."""


@pytest.fixture
def tiny(golden: Golden) -> Fast3R:
    """A model of a fifth of a megabyte, in which every weight matters."""
    return golden.fill(Fast3R(TINY)).eval()


@pytest.fixture
def unchecked_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of shapes that tests add to every function cannot be compiled."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
