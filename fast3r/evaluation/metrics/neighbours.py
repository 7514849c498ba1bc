"""Nearest neighbours among points of space."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


class Neighbours:
    """Points in a k-d tree, to be asked for the ones nearest to others. Answers are on the CPU."""

    def __init__(self, points: Float[Tensor, "points 3"], *, threads: int = 1) -> None:
        """Sort points into a tree.

        Args:
            points: To be found.
            threads: To search with; -1 for all cores. Does not change what is found.

        Raises:
            ImportError: Without SciPy.
            ValueError: A point is not finite.
        """
        try:
            from scipy.spatial import KDTree
        except ImportError as error:
            raise ImportError(
                "distances between clouds need SciPy: pip install 'fast3r[eval]'"
            ) from error
        self.count = len(points)
        self._threads = threads
        self._tree = KDTree(_finite(points), leafsize=16, balanced_tree=False)

    def nearest(
        self, points: Float[Tensor, "others 3"]
    ) -> tuple[Float[Tensor, " others"], Int[Tensor, " others"]]:
        """Return the distance of each point to the nearest one in the tree, and which that is.

        Fastest where points that follow each other are neighbours, as in an image.

        Raises:
            ValueError: The tree is empty, or a point is not finite.
        """
        distance, index = self.nearest_few(points, 1)
        return distance[:, 0], index[:, 0]

    def nearest_few(
        self, points: Float[Tensor, "others 3"], count: int
    ) -> tuple[Float[Tensor, "others count"], Int[Tensor, "others count"]]:
        """Return the distances to the `count` nearest ones, ascending, and which these are.

        Raises:
            ValueError: The tree holds fewer, or a point is not finite.
        """
        if count > self.count:
            raise ValueError(f"asked for {count} nearest points among {self.count}")
        found = self._tree.query(_finite(points), k=count, workers=self._threads)
        # Of one neighbour SciPy leaves out the axis.
        distance, index = (np.reshape(field, (len(points), count)) for field in found)
        return torch.from_numpy(distance), torch.from_numpy(index)


def _finite(points: Float[Tensor, "points 3"]) -> Float[np.ndarray, "points 3"]:
    wrong = ~points.isfinite().all(dim=-1)
    if wrong.any():
        raise ValueError(
            f"{int(wrong.sum())} of {len(points)} points are not finite; leave them out"
        )
    return points.detach().cpu().double().numpy()
