"""The endless stream of procedural scenes that training reads."""

import time
from collections.abc import Iterator

import torch
from torch.utils.data import IterableDataset

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.generate import generate
from fast3r.data.sample import Sample
from fast3r.models.config import SMALL
from fast3r.training.config import STAGES, TrainingConfig


class SceneStream(IterableDataset):
    """Endless batches of procedural scenes, each given by the seed and its step alone."""

    def __init__(
        self, config: TrainingConfig, device: torch.device, first_step: int, begun: float
    ) -> None:
        super().__init__()
        self.config = config
        self.device = device if config.workers == 0 else torch.device("cpu")
        self.first_step = first_step
        self.begun = begun

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples of this worker's steps; the stage follows the clock."""
        worker = torch.utils.data.get_worker_info()
        step = self.first_step + (worker.id if worker else 0)
        while True:
            share = (time.monotonic() - self.begun) / (60 * self.config.minutes)
            yield self.sample(step, share)
            step += worker.num_workers if worker else 1

    def sample(self, step: int, share: float) -> Sample:
        """Return the scenes of one step at a share of the time."""
        stage = next((stage for stage in STAGES if share < stage.until), STAGES[-1])
        seed = self.config.seed * 10_000_019 + step
        dice = torch.Generator().manual_seed(seed)
        pick = torch.rand(3, generator=dice).tolist()
        height, width = stage.shapes[int(pick[0] * len(stage.shapes))]
        views = stage.views[int(pick[1] * len(stage.views))]
        low, high = stage.difficulty
        patches = height * width // SMALL.encoder.patch**2
        return generate(
            ProceduralConfig(compiled=self.config.compile),
            batch=max(1, self.config.tokens_per_step // (patches * views)),
            views=views,
            height=height,
            width=width,
            seed=seed,
            device=str(self.device),
            difficulty=low + (high - low) * pick[2],
        )
