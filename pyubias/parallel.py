"""Ranks: the only module that knows mpi4py.

Work that differs in length (walkers, labels) is handed out one item at a time. Ranks that
wait do so asleep: MPI's own waiting keeps a core busy that a training rank may need.
"""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import ase.parallel

__all__ = ["Ranks", "own_communicator"]

# ASE would otherwise make every file and database access a collective of all ranks
ase.parallel.world.comm = ase.parallel.DummyMPI()

Item = TypeVar("Item")
Result = TypeVar("Result")
POLL = 0.01  # s


class Ranks:
    """A group of MPI ranks, or the single one of a serial run.

    Args:
        communicator: an mpi4py communicator; default: all ranks.
    """

    def __init__(self, communicator: Any = None) -> None:
        if communicator is None:
            from mpi4py import MPI

            communicator = MPI.COMM_WORLD
        self.communicator = communicator
        self.rank: int = communicator.rank
        self.size: int = communicator.size

    @property
    def is_root(self) -> bool:
        return self.rank == 0

    def split(self, color: int) -> "Ranks":
        """The ranks that gave the same color, as a group of their own."""
        return Ranks(self.communicator.Split(color, self.rank))

    def wait_for_all(self) -> None:
        """A barrier that sleeps."""
        request = self.communicator.Ibarrier()
        while not request.Test():
            time.sleep(POLL)

    def share(self, value: Any) -> Any:
        """The root's value, on every rank."""
        if self.size == 1:
            return value
        self.wait_for_all()
        return self.communicator.bcast(value, root=0)

    def on_root(self, function: Callable[[], Result]) -> Result:
        """Run on the root while the others sleep; its result, or its exception, everywhere."""
        if self.size == 1:
            return function()
        outcome: tuple[bool, Any] = (True, None)
        if self.is_root:
            try:
                outcome = (True, function())
            except Exception as error:
                outcome = (False, error)
        good, value = self.share(outcome)
        if not good:
            self.fail(value)
        return value

    def fail(self, error: Exception) -> NoReturn:
        """Raise an error that all ranks of the group know; only the root need tell the user."""
        error.told_by_root = not self.is_root  # type: ignore[attr-defined]
        error.known_to = self.size  # type: ignore[attr-defined]
        raise error

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        workspace: Path,
        ranks_per_item: int = 1,
        group_function: Callable[[Item, "Ranks"], Result] | None = None,
    ) -> list[Result]:
        """Results of all items, in order, on every rank; each item goes to who is free.

        Items are claimed by creating a file, so that no rank has to answer others while it
        works. `function` must not raise: one rank that stops leaves the others waiting.

        Args:
            function: item → result, when an item needs one rank.
            items: the same on all ranks.
            workspace: existing folder that all ranks see.
            ranks_per_item: ranks that work on one item together, as a sub-communicator.
            group_function: (item, group) → result on the group's root, used instead of `function`.
        """
        group = self.split(self.rank // ranks_per_item) if self.size > 1 else self
        claims = workspace / f".claims-{self.share(uuid.uuid4().hex)}"
        if self.is_root:
            claims.mkdir()
        self.wait_for_all()

        mine: dict[int, Result] = {}
        for k, item in enumerate(items):
            won = _claim(claims / str(k)) if group.is_root else False
            if group.share(won):
                mine[k] = group_function(item, group) if group_function else function(item)
        if not group.is_root:
            mine = {}

        self.wait_for_all()
        collected: dict[int, Result] = {}
        for part in self.communicator.allgather(mine):
            collected.update(part)
        if self.is_root:
            shutil.rmtree(claims, ignore_errors=True)
        return [collected[k] for k in range(len(items))]

    def abort(self, code: int) -> None:
        """End all ranks of the program, also those that wait for this one."""
        # mpirun loses what was printed just before
        time.sleep(1.0)
        self.communicator.Abort(code)


def own_communicator() -> Any:
    """The mpi4py communicator of this rank alone."""
    from mpi4py import MPI

    return MPI.COMM_SELF


def _claim(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
