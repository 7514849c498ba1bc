"""A first look at every view, one by one: what it is, and what it is like.

The digest tells whether a view has changed since an earlier run. The descriptor tells which views
show the same: means of the encoder's tokens over each quarter of the view, and how much they vary.
"""

import hashlib

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from fast3r.models.attention import attention_kernels
from fast3r.models.fast3r import Fast3R
from fast3r.views.fitting import fit_view
from fast3r.views.view import View


def digest_of(view: View) -> str:
    """Return 16 hexadecimal digits that change with all that a pass takes from a view."""
    told = (view.name, view.original_height, view.original_width, view.camera_key)
    tensors = [view.original_from_network.double(), view.pixels, view.known_intrinsics, view.mask]
    shapes = [None if tensor is None else tuple(tensor.shape) for tensor in tensors]
    digest = hashlib.sha256(repr((told, shapes)).encode())
    for tensor in tensors:
        if tensor is not None:
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def plain(view: View, *, size: int, patch: int) -> View:
    """Return a view at network size that holds its pixels, decoded once."""
    fitted = fit_view(view, size=size, patch=patch)
    return View(**{name: getattr(fitted, name) for name in View.__dataclass_fields__})


@torch.inference_mode()
def describe(view: View, model: Fast3R) -> Float[Tensor, " channels"]:
    """Return what the encoder sees in a view; to be compared after `standardised`."""
    image = view.image[None].to(model.device)
    with attention_kernels(model.attention, model.device):
        tokens = model.encoder(image)[0].float()
    rows, columns = view.height // model.patch, view.width // model.patch
    maps = tokens.mT.reshape(-1, rows, columns)
    quarters = adaptive_avg_pool2d(maps, (2, 2)).flatten()
    return torch.cat((quarters, tokens.std(dim=0, unbiased=False))).cpu().clone()


def standardised(
    descriptors: Float[Tensor, "views channels"],
) -> Float[Tensor, "views channels"]:
    """Return descriptors of length 1 whose products are similarities.

    What all views have in common is taken off, and each channel counts by how it varies among
    them.
    """
    own = descriptors - descriptors.mean(dim=0)
    return normalize(own / own.std(dim=0, unbiased=False).clamp(min=1e-6), dim=1)
