import pytest

from fast3r.cluster.shards import Shard


def test_nothing_is_in_two_shards() -> None:
    work = [str(k) for k in range(10)]
    parts = [Shard(number, 4).of(work) for number in (1, 2, 3, 4)]
    assert sorted(item for part in parts for item in part) == work


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/2/3"])
def test_a_wrong_shard_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match=r"--shard must be like 1/4, 2/4, \.\.\., 4/4; got"):
        Shard.parsed(text)
