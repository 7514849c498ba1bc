"""Several datasets as one, each with its share of the scenes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fast3r.data.catalog import open_dataset
from fast3r.data.config import DatasetSource
from fast3r.data.dataset import Dataset


@dataclass(frozen=True)
class Member:
    """A dataset of a mixture."""

    dataset: Dataset
    """Where its scenes come from."""

    weight: float = 1.0
    """How often, relative to the other members."""

    extra_px: int = 0
    """See `DatasetSource`."""


@dataclass(frozen=True)
class Mixture:
    """Datasets to draw scenes from."""

    members: tuple[Member, ...]
    """The datasets, in the order that decides what equal dice draw."""

    def __post_init__(self) -> None:
        weights = [member.weight for member in self.members]
        if not np.isfinite(weights).all() or min(weights, default=0) < 0 or sum(weights) <= 0:
            raise ValueError(
                f"the weights of datasets must be finite, none below 0 and one above; got {weights}"
            )

    def draw(self, dice: np.random.Generator) -> tuple[Member, str]:
        """Return a scene and the dataset that it is of: any scene of it, as likely as others."""
        weights = np.array([member.weight for member in self.members])
        member = self.members[int(dice.choice(len(weights), p=weights / weights.sum()))]
        return member, member.dataset.scenes[int(dice.integers(len(member.dataset.scenes)))]


def open_mixture(sources: Mapping[str, DatasetSource]) -> Mixture:
    """Return the datasets of a configuration.

    The order of `sources` does not matter, as composed YAML has none to rely on.

    Raises:
        ValueError: There are none, or one is not known or not laid out as it should be.
    """
    if not sources:
        raise ValueError("no datasets to train on: name at least one, with its layout and root")
    return Mixture(tuple(_open(source) for _, source in sorted(sources.items())))


def _open(source: DatasetSource) -> Member:
    dataset = open_dataset(source.layout, source.root, **source.options)
    return Member(dataset, source.weight, source.extra_px)
