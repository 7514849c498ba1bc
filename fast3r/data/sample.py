"""Views with ground truth, as training and evaluation take them."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """A batch of scenes, each seen by the same number of views of one size."""

    images: Float[Tensor, "batch views 3 height width"]
    """RGB in [0, 1]."""

    points: Float[Tensor, "batch views height width 3"]
    """World position of the surface at each pixel centre; anything finite where not `valid`."""

    valid: Bool[Tensor, "batch views height width"]
    """False where no surface is seen, such as sky."""

    intrinsics: Float[Tensor, "batch views 3 3"]
    """Pixels from camera-frame rays; pixel centres at +0.5."""

    world_from_camera: Float[Tensor, "batch views 4 4"]
    """Rigid poses, OpenCV axes."""

    def to(self, device: torch.device | str) -> "Sample":
        """Return the sample on a device; from pinned memory to a GPU it goes in the background."""
        in_background = torch.device(device).type == "cuda"
        return self._each(lambda part: part.to(device, non_blocking=in_background))

    def pin_memory(self) -> "Sample":
        """Return the sample in memory that a GPU can read while it computes.

        PyTorch's `DataLoader` calls this by its name.
        """
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Sample":
        return Sample(**{field.name: change(getattr(self, field.name)) for field in fields(self)})


def frame_points(
    points: Float[Tensor, "batch views height width 3"],
    world_from_frame: Float[Tensor, "batch _ 4 4"],
) -> Float[Tensor, "batch views height width 3"]:
    """Return world points in the frame of a camera."""
    rotation = world_from_frame[..., :3, :3]
    centre = world_from_frame[..., :3, 3]
    return torch.einsum("bnhwi,bnij->bnhwj", points - centre[:, :, None, None], rotation)


def mirror(sample: Sample) -> Sample:
    """Return the scenes as a mirror shows them, photographed in the opposite order of views.

    Left and right swap in the photos and along the first axis of the world, so that cameras stay
    rigid and right-handed: a new sample with another first view, for the price of a copy.
    """
    flip = torch.diag(sample.points.new_tensor([-1.0, 1.0, 1.0, 1.0]))
    intrinsics = sample.intrinsics.flip(1).clone()
    intrinsics[..., 0, 2] = sample.images.shape[-1] - intrinsics[..., 0, 2]
    return Sample(
        images=sample.images.flip(1, -1),
        points=sample.points.flip(1, 3) * flip.diagonal()[:3],
        valid=sample.valid.flip(1, -1),
        intrinsics=intrinsics,
        world_from_camera=flip @ sample.world_from_camera.flip(1) @ flip,
    )
