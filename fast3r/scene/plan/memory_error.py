"""Telling that memory ran out from all other faults."""

import torch

_WORDS = (
    "out of memory",
    "can't allocate memory",  # torch's allocator on Linux and macOS
    "not enough memory",  # the same on Windows
    "bad_alloc",
    "could not create a memory object",  # oneDNN
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on the host or on a device."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    # MPS and the host tell only by their message.
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)
