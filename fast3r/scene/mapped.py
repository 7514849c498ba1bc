"""Tensors that live in files, mapped into memory: a scene may be larger than the RAM."""

import errno
import os
from pathlib import Path

import torch
from torch import Tensor


class MappedTensors:
    """Moves tensors into files of one folder, one file each.

    What it returns reads from the file page by page; the system drops pages that were not used
    for long, so memory stays flat. Writing to such a tensor changes a copy of the page in memory,
    never the file. The folder belongs to the caller, and has to outlive the tensors; on Linux and
    macOS its files may be deleted while tensors still read from them.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made where missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def keep(self, name: str, tensor: Tensor) -> Tensor:
        """Return an equal tensor on the CPU that reads from the file `name`, written anew.

        The file holds nothing but the numbers, and appears whole or not at all. No gradient flows
        through it.

        Raises:
            OSError: The disk is full, or the folder cannot be written to.
        """
        assert Path(name).name == name != "", f"{name!r} must name a file of the folder"
        if tensor.numel() == 0:  # an empty file cannot be mapped
            return torch.empty(tensor.shape, dtype=tensor.dtype)
        kept = tensor.detach().to("cpu").contiguous()
        path = self.folder / name
        self._write(path, kept)
        # The file may not stay open, as Windows would not let it be replaced or deleted then.
        mapped = torch.from_file(str(path), shared=False, size=kept.numel(), dtype=kept.dtype)
        return mapped.view(kept.shape)

    def _write(self, path: Path, tensor: Tensor) -> None:
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
                f"the disk of {self.folder} is full: {tensor.nbytes} bytes more were needed for "
                f"{path.name}; free some space or use another folder"
            ) from error
