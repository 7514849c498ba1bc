"""Tensors that live in files, mapped into memory: a scene may be larger than the RAM."""

import errno
import os
from pathlib import Path

import torch
from torch import Tensor


def in_file(path: Path, tensor: Tensor) -> Tensor:
    """Return an equal tensor on the CPU that reads from a file, which is written anew.

    It reads page by page, and the system drops pages that were not used for long, so memory stays
    flat. Writing to it changes a copy of the page in memory, never the file. No gradient flows
    through it. The file holds nothing but the numbers, and appears whole or not at all; it has to
    outlive the tensor, but on Linux and macOS may be deleted while the tensor still reads from it.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.
    """
    if tensor.numel() == 0:  # an empty file cannot be mapped
        return torch.empty(tensor.shape, dtype=tensor.dtype)
    kept = tensor.detach().to("cpu").contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, kept)
    # The file may not stay open, as Windows would not let it be replaced or deleted then.
    mapped = torch.from_file(str(path), shared=False, size=kept.numel(), dtype=kept.dtype)
    return mapped.view(kept.shape)


def _write(path: Path, tensor: Tensor) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    try:
        # As bytes, since numpy lacks some of torch's formats.
        unfinished.write_bytes(tensor.flatten().view(torch.uint8).numpy().data)
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise
        raise OSError(
            f"the disk of {path.parent} is full: {tensor.nbytes} bytes more were needed for "
            f"{path.name}; free some space or use another folder"
        ) from error
