"""Training samples from photos with depth: drawn, read, cropped and stacked."""

import logging
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from jaxtyping import Float32

from fast3r.data.colour import jitter_colours
from fast3r.data.config import ColourJitter, PhotoConfig, Shape
from fast3r.data.cropping import fit_frame, oriented
from fast3r.data.frame import BrokenFrameError, Frame
from fast3r.data.mixture import Member, Mixture
from fast3r.data.sample import Sample
from fast3r.data.steps import Stream, check_shapes, dice_at, scenes_within
from fast3r.geometry.cameras import unproject

_MAX_DRAWS = 40
"""Scenes drawn before a stream gives up: far more than chance needs unless most are broken."""

_AGREEING_DRAWS = 20
"""Up to this draw, scenes are passed over whose photos lie otherwise than the first scene's."""

_log = logging.getLogger(__name__)


class SampleStream(Stream):
    """Samples of a mixture of datasets, with other frames at every step.

    Shape and number of views are drawn for each step, alike on all devices. The first photo of a
    device's first scene decides whether the shape stands upright; other scenes are drawn until
    they agree, which leaves the shares of the mixture as they are. The world of a scene is moved
    to begin at its first camera, since coordinates far from zero lose digits.

    Scenes that cannot be used are replaced by others; a process logs each reason once.
    """

    def __init__(
        self, config: PhotoConfig, mixture: Mixture, *, seed: int, patch: int, rank: int = 0
    ) -> None:
        """Prepare a stream.

        Args:
            config: What samples are like; its `sources` are not looked at.
            mixture: Where scenes come from, see `open_mixture`.
            seed: Of all draws.
            patch: Side of the network's patches, in pixels.
            rank: Number of this device among those that train together.

        Raises:
            ValueError: A shape does not suit the patch, or a scene is more than `tokens_per_step`.
        """
        check_shapes(config.shapes, config.max_views, patch, config.tokens_per_step)
        self.config = config
        self.mixture = mixture
        self.seed = seed
        self.patch = patch
        self.rank = rank
        self._reported: set[str] = set()

    def __getitem__(self, step: int) -> Sample:
        """Return the sample of a step on this device.

        Raises:
            ValueError: Too many scenes in a row cannot be used.
        """
        dice = dice_at(self.seed, step, 0)
        shape = self.config.shapes[int(dice.integers(len(self.config.shapes)))]
        views = int(dice.integers(self.config.min_views, self.config.max_views + 1))
        count = self.config.scenes_per_step
        if count is None:
            assert self.config.tokens_per_step is not None
            count = scenes_within(self.config.tokens_per_step, views, shape, self.patch)
        scenes = [self._scene((step, 1, self.rank, 0), views, (shape, shape.turned))]
        shape = Shape(*scenes[0].images.shape[-2:])
        for place in range(1, count):
            scenes.append(self._scene((step, 1, self.rank, place), views, (shape,)))
        parts = [[getattr(scene, field.name) for scene in scenes] for field in fields(Sample)]
        return Sample(*(torch.cat(part) for part in parts))

    def _scene(self, place: tuple[int, ...], views: int, shapes: tuple[Shape, ...]) -> Sample:
        """Return one scene in that of the shapes which lies as its first photo does."""
        last = ""
        for draw in range(_MAX_DRAWS):
            dice = dice_at(self.seed, *place, draw)
            member, scene = self.mixture.draw(dice)
            try:
                names = member.dataset.draw(scene, views, dice)
                first = member.dataset.read(scene, names[0])
                shape = oriented(shapes[0], first, dice)
                if shape in shapes or draw >= _AGREEING_DRAWS:
                    shape = shape if shape in shapes else shapes[0]
                    frames = _fitted(member, scene, first, names[1:], shape, dice)
                    return _sample(frames, self.config.jitter, dice)
            except BrokenFrameError as error:
                last = f"{member.dataset.root}, scene {scene}: {error}"
                self._report(last)
        raise ValueError(
            f"no usable scene in {_MAX_DRAWS} draws; `fast3r data check` tells what is broken. "
            f"The last: {last}"
        )

    def _report(self, reason: str) -> None:
        if reason not in self._reported:
            self._reported.add(reason)
            _log.warning("left out, number %d so far: %s", len(self._reported), reason)


def _fitted(
    member: Member,
    scene: str,
    first: Frame,
    others: Sequence[str],
    shape: Shape,
    dice: np.random.Generator,
) -> list[Frame]:
    """Return the frames at one size, the first first."""
    extra_px = dice.integers(member.extra_px + 1, size=1 + len(others)).tolist()
    frames = [fit_frame(first, shape, extra_px=extra_px[0])]
    for name, extra in zip(others, extra_px[1:], strict=True):
        frame = member.dataset.read(scene, name)
        frames.append(fit_frame(frame, shape, extra_px=extra))
    if not any(frame.depth is not None and frame.depth.any() for frame in frames):
        raise BrokenFrameError(
            f"{', '.join(frame.name for frame in frames)}: no pixel of them has a depth; "
            "expected depth in one at least"
        )
    return frames


def _sample(frames: list[Frame], jitter: ColourJitter, dice: np.random.Generator) -> Sample:
    """Return a sample of one scene, its world moved to the first camera."""
    images = torch.from_numpy(np.stack([frame.image for frame in frames]))
    images = images.permute(0, 3, 1, 2).to(torch.float32) / 255
    depth = torch.from_numpy(np.stack([_depth(frame) for frame in frames]))
    poses = np.stack([frame.world_from_camera for frame in frames]).astype(np.float64)
    poses[:, :3, 3] -= poses[0, :3, 3].copy()
    world_from_camera = torch.from_numpy(poses).to(torch.float32)
    intrinsics = torch.from_numpy(np.stack([frame.intrinsics for frame in frames]))
    intrinsics = intrinsics.to(torch.float32)
    return Sample(
        images=jitter_colours(images, jitter, dice)[None],
        points=unproject(depth, intrinsics, world_from_camera)[None],
        valid=(depth > 0)[None],
        intrinsics=intrinsics[None],
        world_from_camera=world_from_camera[None],
    )


def _depth(frame: Frame) -> Float32[np.ndarray, "height width"]:
    if frame.depth is not None:
        return frame.depth
    return np.zeros(frame.image.shape[:2], np.float32)
