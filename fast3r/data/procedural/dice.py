"""Seeded random numbers for batches of scenes; always drawn on the CPU, so devices agree."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Dice:
    """A random generator that draws tensors of any shape."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Float[Tensor, "..."]:
        """Return numbers spread evenly over [low, high)."""
        return low + (high - low) * torch.rand(shape, generator=self._generator)

    def normal(self, *shape: int) -> Float[Tensor, "..."]:
        """Return numbers of mean 0 and standard deviation 1."""
        return torch.randn(shape, generator=self._generator)

    def log_uniform(self, low: float, high: float, *shape: int) -> Float[Tensor, "..."]:
        """Return positive numbers, as likely to double as to halve."""
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def chance(self, probability: float, *shape: int) -> Bool[Tensor, "..."]:
        """Return True with the given probability."""
        return self.uniform(0, 1, *shape) < probability

    def pick(self, weights: Sequence[float], *shape: int) -> Int[Tensor, "..."]:
        """Return indices, each as likely as its weight says."""
        edges = torch.tensor(weights, dtype=torch.float32).cumsum(0)
        return torch.bucketize(self.uniform(0, 1, *shape) * edges[-1], edges[:-1], right=True)

    def below(self, limit: int, *shape: int) -> Int[Tensor, "..."]:
        """Return integers in [0, limit)."""
        return torch.randint(limit, shape, generator=self._generator)

    def shuffled(self, rows: int, length: int) -> Int[Tensor, "rows length"]:
        """Return one random order of `length` things in each row."""
        return torch.rand(rows, length, generator=self._generator).argsort(1)

    def direction(self, *shape: int) -> Float[Tensor, "... 3"]:
        """Return unit vectors spread evenly over the sphere."""
        return torch.nn.functional.normalize(self.normal(*shape, 3), dim=-1)
