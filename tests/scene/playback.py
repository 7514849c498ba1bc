"""Views with known cameras, and a network that predicts their pointmaps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from fast3r.geometry.cameras import intrinsics_through, pinhole, unproject
from fast3r.geometry.transforms import rotation_exp
from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.fast3r import Chunks, Fast3R, Tokens
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.views.resize import plan_resize
from fast3r.views.view import View

SIZE = 96
"""Long side of the views at network size."""

TINY = Fast3RConfig(
    encoder=EncoderConfig(width=16, depth=1, heads=1, patch=8),
    fusion=FusionConfig(width=16, depth=4, heads=1),
    head=HeadConfig(features=8, last_features=8, level_widths=(8, 8, 8, 8)),
    image_size=SIZE,
)


@dataclass(frozen=True)
class Truth:
    """A view of a bumpy surface, with everything that is to be found again."""

    view: View
    focal_px: float
    world_from_camera: Tensor
    depth: Tensor
    local_unit: float

    @property
    def intrinsics(self) -> Tensor:
        """In network pixels."""
        original = pinhole(
            torch.tensor(self.focal_px), self.view.original_height, self.view.original_width
        )
        return intrinsics_through(self.view.original_from_network.inverse(), original)


def a_view(
    seed: int, height: int, width: int, focal_px: float, *, camera_key: str | None = None
) -> Truth:
    """Return a view whose photo has this size, with what `load_views` would do to it."""
    random = torch.Generator().manual_seed(seed)
    resize = plan_resize(height, width, size=SIZE, patch=8)
    left, top = resize.padding
    mask = torch.zeros(resize.height, resize.width, dtype=torch.bool)
    mask[top : top + resize.content_height, left : left + resize.content_width] = True
    view = View(
        pixels=torch.zeros(resize.height, resize.width, 3, dtype=torch.uint8),
        original_from_network=resize.original_from_network,
        name=f"{seed}.jpg",
        original_height=height,
        original_width=width,
        mask=None if mask.all() else mask,
        camera_key=camera_key,
    )
    pose = torch.eye(4)
    pose[:3, :3] = rotation_exp(torch.randn(3, generator=random) * 0.5)
    pose[:3, 3] = torch.randn(3, generator=random)
    coarse = 1.5 + 2 * torch.rand(1, 1, 6, 6, generator=random)
    size = (resize.height, resize.width)
    depth = torch.nn.functional.interpolate(coarse, size, mode="bicubic")[0, 0]
    return Truth(view, focal_px, pose, depth, local_unit=float(0.3 + seed))


def predicted(
    truth: Truth, *, noise: float = 0.0, outliers: float = 0.0, local: bool = True
) -> Prediction:
    """Return the pointmaps that a network with such errors would predict."""
    random = torch.Generator().manual_seed(7)
    wrong = torch.rand(truth.depth.shape, generator=random) < outliers
    if truth.view.mask is not None:
        wrong |= ~truth.view.mask
    world = unproject(truth.depth, truth.intrinsics, truth.world_from_camera)
    points = unproject(truth.depth, truth.intrinsics)
    world, points = (
        (clean + noise * torch.randn(clean.shape, generator=random)).where(
            ~wrong[..., None], 3 * torch.randn(clean.shape, generator=random)
        )
        for clean in (world, points)
    )
    confidence = 1 + 5 * torch.rand(truth.depth.shape, generator=random)
    local_map = Pointmap(points[None] / truth.local_unit, confidence[None]) if local else None
    return Prediction(Pointmap(world[None], confidence[None]), local_map)


def nonsense(view: View) -> Prediction:
    random = torch.Generator().manual_seed(3)
    shape = (1, view.height, view.width)
    maps = [
        Pointmap(torch.randn(*shape, 3, generator=random), 1 + torch.rand(shape, generator=random))
        for _ in range(2)
    ]
    return Prediction(*maps)


class PlayedBack(Fast3R):
    """A network that runs, but whose heads say what they are told to."""

    def __init__(self, predictions: Sequence[Prediction]) -> None:
        super().__init__(TINY)
        self._predictions = predictions

    def predict(
        self, tokens: Tokens, *, chunks: Chunks | None = None
    ) -> Iterator[tuple[int, Prediction]]:
        """Yield what was given, last view first."""
        yield from reversed(list(enumerate(self._predictions)))


def a_random_model() -> Fast3R:
    torch.manual_seed(0)
    return Fast3R(TINY).eval()


def photos(count: int = 3) -> list[View]:
    """Return views that show noise."""
    random = torch.Generator().manual_seed(0)
    views = [a_view(seed, 480, 640, 560.0).view for seed in range(count)]
    return [
        replace(v, pixels=torch.randint(256, v.pixels.shape, generator=random).byte())
        for v in views
    ]


def save_photos(truths: Sequence[Truth], folder: Path) -> None:
    """Write a photo of the right size for each view, in an order that is theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, truth in enumerate(truths):
        size = (truth.view.original_width, truth.view.original_height)
        Image.new("RGB", size, (40 * index, 90, 200)).save(folder / f"{index}.png")
