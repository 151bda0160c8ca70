"""Ranks share work item by item; what one rank learns, errors too, all know."""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from campaigns import mpirun

from pyubias.errors import UserError
from pyubias.parallel import CollectiveError, Ranks

TESTS = Path(__file__).parent


def check_ranks(folder: Path) -> None:
    """Run on every rank by `mpirun`: fails where something is wrong."""
    ranks = Ranks()
    assert ranks.is_root == (ranks.rank == 0)
    assert ranks.share(f"from {ranks.rank}") == "from 0"
    assert ranks.on_root(lambda: ranks.rank) == 0

    raised = UserError if ranks.size == 1 else CollectiveError
    with pytest.raises(raised, match="only the root saw this") as caught:
        ranks.on_root(lambda: fail_with("only the root saw this"))
    if isinstance(caught.value, CollectiveError):
        assert isinstance(caught.value.error, UserError)
        assert caught.value.reported_elsewhere == (not ranks.is_root)
        assert caught.value.n_ranks == ranks.size

    # no item, fewer items than ranks, many; each is done once, results are in order everywhere
    for n in (0, 1, 13):
        done = folder / f"done-{n}"
        ranks.on_root(lambda done=done: done.mkdir())

        def work(k: int, done: Path = done) -> tuple[int, int]:
            (done / str(k)).touch(exist_ok=False)
            # the first item is long: others must not wait for who does it
            time.sleep(0.3 if k == 0 else 0.01)
            return k * k, ranks.rank

        results = ranks.map(work, range(n), folder)
        assert [square for square, _ in results] == [k * k for k in range(n)]
        if n == 13 and ranks.size > 1:
            first = results[0][1]
            assert sum(rank == first for _, rank in results) < 13 / ranks.size + 1

    # groups: every rank of a group takes part, the root's result counts
    def together(k: int, group: Ranks) -> tuple[int, list[int]]:
        members = group.communicator.allgather(ranks.rank)
        return (k, members) if group.is_root else (-1, [])

    for size in (1, 2):
        if ranks.size % size == 0 and ranks.size > 1:
            results = ranks.map(lambda k: (k, []), range(5), folder, size, together)
            assert [k for k, _ in results] == list(range(5))
            assert all(len(members) == size for _, members in results)
            assert all(m[0] // size == m[-1] // size for _, m in results)

    half = ranks.split(ranks.rank % 2)
    assert half.size == (ranks.size + 1 - ranks.rank % 2) // 2
    # something that every rank does: one that fails makes all fail
    assert ranks.together(lambda: ranks.rank) == ranks.rank
    with pytest.raises(raised, match=f"rank {ranks.size - 1} failed"):
        ranks.together(lambda: fail_on_last(ranks))
    assert ranks.share_out(lambda k: k * k, 5) == [0, 1, 4, 9, 16]
    first = ranks.first(1)
    assert (first is None) == (ranks.rank > 0)
    assert ranks.first(ranks.size + 1).size == ranks.size

    # replicas: each item is one replica's, sums are the same on all, and no file stays
    tempfile.tempdir = str(folder)
    with ranks.replicas() as replicas:
        parts = ranks.communicator.allgather(replicas.part([*range(5)]))
        assert sorted(k for part in parts for k in part) == [*range(5)]
        numbers = torch.tensor([[1.0, float(ranks.rank)]])
        replicas.add_up(numbers)
        assert numbers.tolist() == [[ranks.size, sum(range(ranks.size))]]
        # as many as a potential has parameters, whose sum depends on its order in rounding
        drawn = [np.random.default_rng(k).normal(size=30_000) for k in range(ranks.size)]
        many = torch.from_numpy(drawn[ranks.rank].copy())
        replicas.add_up(many)
        np.testing.assert_allclose(many.numpy(), sum(drawn), rtol=1e-12, atol=1e-12)
        assert len({each.tobytes() for each in ranks.communicator.allgather(many.numpy())}) == 1

    ranks.wait_for_all()
    ranks.on_root(lambda: (folder / "all-good").touch())
    assert not list(folder.glob(".claims-*"))
    assert not list(folder.glob("pyubias-*"))


def fail_with(message: str) -> None:
    raise UserError(message)


def fail_on_last(ranks: Ranks) -> None:
    if ranks.rank == ranks.size - 1:
        fail_with(f"rank {ranks.rank} failed")


def test_a_single_rank_does_all_itself(tmp_path: Path) -> None:
    check_ranks(tmp_path)
    assert (tmp_path / "all-good").exists()


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_work_values_and_errors(ranks: int, tmp_path: Path) -> None:
    result = mpirun(ranks, tmp_path, sys.executable, TESTS / "test_parallel.py", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "all-good").exists()


if __name__ == "__main__":
    check_ranks(Path(sys.argv[1]))
