"""The dense prediction head (DPT, Ranftl et al. 2021): four levels of tokens to one pointmap."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fast3r.models.config import HeadConfig
from fast3r.models.prediction import Pointmap


class ResidualConv(nn.Module):
    """Two convolutions added to their input."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return refined maps."""
        return maps + self.conv2(F.relu(self.conv1(F.relu(maps)), inplace=True))


class Refine(nn.Module):
    """Merge a finer level into the path, then double the resolution."""

    def __init__(self, features: int, *, has_skip: bool) -> None:
        super().__init__()
        self.skip = ResidualConv(features) if has_skip else None
        self.path = ResidualConv(features)
        self.out = nn.Conv2d(features, features, 1)

    def forward(
        self, path: Float[Tensor, "n c h w"], level: Float[Tensor, "n c h w"] | None = None
    ) -> Float[Tensor, "n c 2*h 2*w"]:
        """Return the path at twice the resolution."""
        if level is not None:
            assert self.skip is not None
            path = path + self.skip(level)
        # The 1x1 convolution comes last in DPT; before the interpolation it is the same map, and
        # has a quarter of the pixels.
        path = self.out(self.path(path))
        return F.interpolate(path, scale_factor=2, mode="bilinear", align_corners=True)


class DptHead(nn.Module):
    """Four levels of tokens in, a point and a confidence for every pixel out."""

    def __init__(self, config: HeadConfig, token_widths: Sequence[int], patch: int) -> None:
        super().__init__()
        self.patch = patch
        widths, features = config.level_widths, config.features
        self.project = nn.ModuleList(
            nn.Conv2d(tokens, width, 1) for tokens, width in zip(token_widths, widths, strict=True)
        )
        self.resample = nn.ModuleList(
            [
                nn.ConvTranspose2d(widths[0], widths[0], 4, stride=4),
                nn.ConvTranspose2d(widths[1], widths[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(widths[3], widths[3], 3, stride=2, padding=1),
            ]
        )
        self.reduce = nn.ModuleList(
            nn.Conv2d(width, features, 3, padding=1, bias=False) for width in widths
        )
        self.refine = nn.ModuleList(Refine(features, has_skip=level < 3) for level in range(4))
        self.out1 = nn.Conv2d(features, config.last_features, 3, padding=1)
        self.out2 = nn.Conv2d(config.last_features, config.last_features, 3, padding=1)
        self.out3 = nn.Conv2d(config.last_features, 4, 1)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(
        self, levels: Sequence[Float[Tensor, "n patches _"]], grid: tuple[int, int]
    ) -> Pointmap:
        """Return the pointmap of each image."""
        return activate(self.raw(levels, grid))

    def raw(
        self, levels: Sequence[Float[Tensor, "n patches _"]], grid: tuple[int, int]
    ) -> Float[Tensor, "n 4 height width"]:
        """Return the four output channels before their activation."""
        rows, columns = grid
        maps = [self._level_map(tokens, k, grid) for k, tokens in enumerate(levels)]
        path = self.refine[3](maps[3])[:, :, :rows, :columns]  # an odd side was rounded up
        for k in (2, 1, 0):
            path = self.refine[k](path, maps[k])
        path = self.out1(path)
        size = (rows * self.patch, columns * self.patch)
        if path.shape[2:] != size:
            path = F.interpolate(path, size=size, mode="bilinear", align_corners=True)
        return self.out3(F.relu(self.out2(path), inplace=True))

    def _level_map(self, tokens: Tensor, k: int, grid: tuple[int, int]) -> Tensor:
        maps = tokens.transpose(1, 2).unflatten(2, grid)
        return self.reduce[k](self.resample[k](self.project[k](maps)))


def activate(raw: Float[Tensor, "n 4 height width"]) -> Pointmap:
    """Turn output channels into points and confidences (Fast3R; DUSt3R, Wang et al. 2024).

    A point is as far along the direction of its three channels as expm1 of their length.
    """
    raw = raw.to(torch.promote_types(raw.dtype, torch.float32)).permute(0, 2, 3, 1)
    offset, certainty = raw[..., :3], raw[..., 3]
    length = offset.norm(dim=-1, keepdim=True)
    points = offset / length.clamp(min=1e-8) * torch.expm1(length)
    return Pointmap(points=points, confidence=1 + certainty.exp())
