import pytest
import torch
from torch import Tensor

from fast3r.geometry.block_elimination import BlockElimination

SIZE = 3


def dense_and_blocks(
    count: int, pairs: list[tuple[int, int]]
) -> tuple[Tensor, Tensor, Tensor, BlockElimination]:
    """A positive definite matrix that couples some pairs, whole and in blocks."""
    generator = torch.Generator().manual_seed(count)
    elimination = BlockElimination(count, pairs)
    whole = torch.zeros(count, count, SIZE, SIZE, dtype=torch.float64)
    couplings = torch.zeros(elimination.num_slots, SIZE, SIZE, dtype=torch.float64)
    for a, b in set(pairs):
        block = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
        whole[a, b], whole[b, a] = block, block.mT
        couplings[elimination.slots(torch.tensor([a]), torch.tensor([b]))] = block
        couplings[elimination.slots(torch.tensor([b]), torch.tensor([a]))] = block.mT
    each = range(count)
    whole[each, each] = 20 * torch.eye(SIZE, dtype=torch.float64)
    matrix = whole.transpose(1, 2).reshape(count * SIZE, count * SIZE)
    return matrix, whole[each, each], couplings, elimination


GRAPHS = {
    "one node": (1, []),
    "a chain": (50, [(i, i + 1) for i in range(49)]),
    "a ring": (50, [(i, (i + 1) % 50) for i in range(50)]),
    "a star": (30, [(0, i) for i in range(1, 30)]),
    "two chains": (40, [(i, i + 1) for i in range(39) if i != 19]),
    "a chain with loops": (60, [(i, i + 1) for i in range(59)] + [(0, 40), (10, 50), (5, 30)]),
    "a backward chain": (40, [(i + 1, i) for i in range(39)]),
    "all pairs": (20, [(i, j) for i in range(20) for j in range(i)]),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_solution_is_that_of_the_whole_matrix(name: str) -> None:
    count, pairs = GRAPHS[name]
    matrix, diagonal, couplings, elimination = dense_and_blocks(count, pairs)
    target = torch.randn(count, SIZE, generator=torch.Generator().manual_seed(1)).double()
    found = elimination.solve(diagonal, couplings, target)
    wanted = torch.linalg.solve(matrix, target.flatten()).view(count, SIZE)
    torch.testing.assert_close(found, wanted)


def test_inputs_stay_as_they_were() -> None:
    _, diagonal, couplings, elimination = dense_and_blocks(*GRAPHS["a chain with loops"])
    target = torch.ones(60, SIZE, dtype=torch.float64)
    before = diagonal.clone(), couplings.clone(), target.clone()
    elimination.solve(diagonal, couplings, target)
    for now, then in zip((diagonal, couplings, target), before, strict=True):
        assert torch.equal(now, then)


def test_a_matrix_that_is_not_positive_definite_gives_nan() -> None:
    elimination = BlockElimination(2, [(0, 1)])
    found = elimination.solve(
        torch.stack([torch.eye(2), -torch.eye(2)]).double(),
        torch.zeros(elimination.num_slots, 2, 2).double(),
        torch.ones(2, 2).double(),
    )
    assert found.isnan().all()
