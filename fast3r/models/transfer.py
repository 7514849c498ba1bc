"""Copies to a CUDA device that neither wait for its work nor hold up the host."""

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device.

    From ordinary memory a copy to CUDA begins when all work before it is done, and the host waits
    for that; from pinned memory both go on.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
