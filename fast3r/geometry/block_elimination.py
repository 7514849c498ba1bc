"""Symmetric positive definite systems of small blocks, whose graph is mostly chains.

Nodes with at most two neighbours are eliminated many at a time (cyclic reduction; Hockney, 1965),
which leaves two neighbours of a node coupled to each other. What is then left has three neighbours
or more each, and is solved as one dense matrix. A chain of n nodes takes about log2 n rounds.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Fewer nodes than this are faster as one dense matrix.
_FEW = 16


class _Round(NamedTuple):
    """Nodes without couplings among each other, each between two others."""

    node: Int[Tensor, " eliminated"]
    left: Int[Tensor, " eliminated"]
    right: Int[Tensor, " eliminated"]
    """One past the last node where there is none."""
    to_left: Int[Tensor, " eliminated"]
    """Slot of the block in the row of `left` and the column of `node`."""
    to_right: Int[Tensor, " eliminated"]
    across: Int[Tensor, " eliminated"]
    """Slot in the row of `left` and the column of `right`."""
    back: Int[Tensor, " eliminated"]
    """Slot in the row of `right` and the column of `left`."""


class BlockElimination:
    """Order of elimination of a graph, found once for many systems of it."""

    def __init__(self, count: int, pairs: Iterable[tuple[int, int]]) -> None:
        """Plan for `count` nodes, of which these pairs are coupled; a pair may come repeatedly."""
        self._count = count
        self._slots: dict[tuple[int, int], int] = {}
        neighbours: list[set[int]] = [set() for _ in range(count)]
        for a, b in pairs:
            assert a != b
            self._couple(neighbours, a, b)
        self._nothing = self._slot(count, count)
        left = set(range(count))
        self._rounds: list[_Round] = []
        while len(left) > _FEW and (chosen := _independent(neighbours, left)):
            self._rounds.append(self._eliminated(neighbours, chosen))
            left.difference_update(chosen)
        self._rest = torch.tensor(sorted(left))

    def slots(self, rows: Int[Tensor, " pairs"], columns: Int[Tensor, " pairs"]) -> Tensor:
        """Return where the blocks of coupled pairs go in the `couplings` of `solve`."""
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return torch.tensor([self._slots[pair] for pair in pairs])

    @property
    def num_slots(self) -> int:
        """Number of couplings that `solve` takes; those that are not set are zero."""
        return len(self._slots)

    def solve(
        self,
        diagonal: Float[Tensor, "nodes size size"],
        couplings: Float[Tensor, "slots size size"],
        target: Float[Tensor, "nodes size"],
    ) -> Float[Tensor, "nodes size"]:
        """Return what the matrix maps to `target`; nan where it is not positive definite."""
        none = torch.eye(diagonal.shape[-1], dtype=diagonal.dtype)[None]
        diagonal = torch.cat((diagonal, none))
        target = torch.cat((target, torch.zeros_like(target[:1])))
        couplings = couplings.clone()
        inverses = [_eliminate(each, diagonal, couplings, target) for each in self._rounds]
        solution = torch.zeros_like(target)
        solution[self._rest] = self._solve_rest(diagonal, couplings, target)
        for each, inverse in zip(reversed(self._rounds), reversed(inverses), strict=True):
            known = target[each.node][..., None]
            known = known - couplings[each.to_left].mT @ solution[each.left][..., None]
            known = known - couplings[each.to_right].mT @ solution[each.right][..., None]
            solution[each.node] = (inverse @ known)[..., 0]
        return solution[:-1]

    def _solve_rest(
        self, diagonal: Tensor, couplings: Tensor, target: Tensor
    ) -> Float[Tensor, "rest size"]:
        count, size = len(self._rest), diagonal.shape[-1]
        place = {node: index for index, node in enumerate(self._rest.tolist())}
        dense = diagonal.new_zeros(count, count, size, size)
        dense[range(count), range(count)] = diagonal[self._rest]
        inside = [(place[a], place[b], slot) for (a, b), slot in self._slots.items()
                  if a in place and b in place]  # fmt: skip
        if inside:
            rows, columns, slots = torch.tensor(inside).T
            dense[rows, columns] = couplings[slots]
        matrix = dense.transpose(1, 2).reshape(count * size, count * size)
        factor, problem = torch.linalg.cholesky_ex(matrix)
        if problem:
            return torch.full_like(target[self._rest], torch.nan)
        flat = target[self._rest].reshape(-1, 1)
        return torch.cholesky_solve(flat, factor).view(count, size)

    def _eliminated(self, neighbours: list[set[int]], chosen: list[int]) -> _Round:
        rows = []
        for node in chosen:
            ends = sorted(neighbours[node])
            left, right = [*ends, self._count, self._count][:2]
            both = len(ends) == 2
            if both:
                self._couple(neighbours, left, right)
            rows.append(
                (
                    node,
                    left,
                    right,
                    self._slot(left, node) if ends else self._nothing,
                    self._slot(right, node) if both else self._nothing,
                    self._slot(left, right) if both else self._nothing,
                    self._slot(right, left) if both else self._nothing,
                )
            )
            for end in ends:
                neighbours[end].discard(node)
        return _Round(*torch.tensor(rows).T)

    def _couple(self, neighbours: list[set[int]], a: int, b: int) -> None:
        neighbours[a].add(b)
        neighbours[b].add(a)
        self._slot(a, b)
        self._slot(b, a)

    def _slot(self, row: int, column: int) -> int:
        return self._slots.setdefault((row, column), len(self._slots))


def _independent(neighbours: list[set[int]], left: set[int]) -> list[int]:
    """Return nodes with at most two neighbours, none of which are neighbours themselves."""
    chosen: set[int] = set()
    for node in sorted(left):
        if len(neighbours[node]) <= 2 and not neighbours[node] & chosen:
            chosen.add(node)
    return sorted(chosen)


def _eliminate(
    each: _Round, diagonal: Tensor, couplings: Tensor, target: Tensor
) -> Float[Tensor, "eliminated size size"]:
    """Take nodes out of a system, in place, and return the inverses of their blocks."""
    inverse = torch.linalg.inv_ex(diagonal[each.node])[0]
    left, right = couplings[each.to_left], couplings[each.to_right]
    from_left, from_right = left @ inverse, right @ inverse
    diagonal.index_add_(0, each.left, -from_left @ left.mT)
    diagonal.index_add_(0, each.right, -from_right @ right.mT)
    couplings.index_add_(0, each.across, -from_left @ right.mT)
    couplings.index_add_(0, each.back, -from_right @ left.mT)
    known = target[each.node][..., None]
    target.index_add_(0, each.left, -(from_left @ known)[..., 0])
    target.index_add_(0, each.right, -(from_right @ known)[..., 0])
    return inverse
