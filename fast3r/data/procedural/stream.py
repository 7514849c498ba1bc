"""Procedural scenes as a stream of training samples, from easy to hard."""

from collections.abc import Callable

import torch

from fast3r.data.config import RenderedConfig
from fast3r.data.procedural.generate import generate
from fast3r.data.sample import Sample, mirror
from fast3r.data.steps import Stream, check_shapes, dice_at, scenes_within


class ProceduralStream(Stream):
    """Samples of random scenes; each pair of steps is one sample and its mirror image.

    To render a sample costs about as much as to train on it, and its mirror image is another.
    Shape, number of views and difficulty are drawn for each pair, alike on all devices.
    """

    run_length = 2

    def __init__(
        self,
        config: RenderedConfig,
        *,
        seed: int,
        share_of_step: Callable[[int], float],
        patch: int,
        rank: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepare a stream.

        Args:
            config: What samples are like.
            seed: Of all draws.
            share_of_step: Which share of the training, from 0 to 1, is done at a step; it decides
                the stage. Worker processes need one that can be pickled.
            patch: Side of the network's patches, in pixels.
            rank: Number of this device among those that train together.
            device: Where to render: the CPU in worker processes.

        Raises:
            ValueError: A shape does not suit the patch, or a scene is more than `tokens_per_step`.
        """
        for stage in config.stages:
            check_shapes(stage.shapes, max(stage.views), patch, config.tokens_per_step)
        self.config = config
        self.seed = seed
        self.share_of_step = share_of_step
        self.patch = patch
        self.rank = rank
        self.device = device
        self._newest: tuple[int, Sample] | None = None

    def __getitem__(self, step: int) -> Sample:
        """Return the sample of a step on this device."""
        pair, place = divmod(step, self.run_length)
        if self._newest is None or self._newest[0] != pair:
            self._newest = pair, self._render(pair)
        sample = self._newest[1]
        return mirror(sample) if place else sample

    def _render(self, pair: int) -> Sample:
        share = self.share_of_step(pair * self.run_length)
        stages = self.config.stages
        stage = next((stage for stage in stages if share < stage.until), stages[-1])
        dice = dice_at(self.seed, pair, 0)
        shape = stage.shapes[int(dice.integers(len(stage.shapes)))]
        views = stage.views[int(dice.integers(len(stage.views)))]
        return generate(
            self.config.scenes,
            batch=scenes_within(self.config.tokens_per_step, views, shape, self.patch),
            views=views,
            height=shape.height,
            width=shape.width,
            seed=int(dice_at(self.seed, pair, 1, self.rank).integers(2**63)),
            device=self.device,
            difficulty=float(dice.uniform(*stage.difficulty)),
        )
