"""The ViT that turns each view into tokens, on its own."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from fast3r.models.config import EncoderConfig
from fast3r.models.layers import Block, PatchPosition, patch_rotation
from fast3r.models.recompute import Caller, directly


class Encoder(nn.Module):
    """Patches, rotary positions, pre-norm blocks (Dosovitskiy et al. 2021; Weinzaepfel 2023)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = nn.Conv2d(3, config.width, config.patch, config.patch)
        self.position = PatchPosition(config.width) if config.absolute_position else None
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, mlp_ratio=config.mlp_ratio, norm_eps=1e-6)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)

    def forward(
        self,
        images: Float[Tensor, "images 3 height width"],
        keep: Bool[Tensor, "images patches"] | None = None,
        *,
        call: Caller = directly,
    ) -> Float[Tensor, "images patches channels"]:
        """Return the tokens of each image, row by row.

        Args:
            images: RGB in [0, 1]; sides are multiples of the patch.
            keep: False for patches that no other patch may look at.
            call: Way to call the blocks.
        """
        config = self.config
        features = self.patch_embed(images * 2 - 1)  # (B, D, h, w)
        grid = (features.shape[2], features.shape[3])
        tokens = features.flatten(2).transpose(1, 2).contiguous()
        if self.position is not None:
            tokens = tokens + self.position(grid)
        head_width = config.width // config.heads
        rotation = patch_rotation(
            grid, head_width, config.rope_base, dtype=tokens.dtype, device=tokens.device
        )
        for block in self.blocks:
            tokens = call(block, tokens, rotation=rotation, keep=keep)
        return self.norm(tokens).to(tokens.dtype)
