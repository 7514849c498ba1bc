"""Many small pieces of work on all cores, with the same bits as on one."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import torch

from fast3r.cluster.cores import usable_cores

_MOST = 8
"""Threads: each may need some hundred MiB for a photo."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def each(
    work: Callable[[_Item], _Result],
    items: Sequence[_Item],
    tell: Callable[[int, int], None],
) -> list[_Result]:
    """Return the result for each item, in their order, worked out side by side.

    There are as many threads as cores, at most 8, and torch has one in each, so that sums do not
    depend on how many there are.

    Args:
        work: Leaves Python's lock to others most of the time.
        items: What to work on.
        tell: Told how many of how many are done; if it raises, the work that has not begun is not
            done.
    """
    before = torch.get_num_threads()
    threads = min(usable_cores(), _MOST)
    pool = ThreadPoolExecutor(threads, "refinement", torch.set_num_threads, (1,))
    try:
        futures = [pool.submit(work, item) for item in items]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            tell(done, len(items))
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
