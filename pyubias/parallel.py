"""MPI ranks. No other module imports mpi4py.

Work that differs in length (walkers, labels) is handed out one item at a time. Ranks sleep while
they wait: MPI's own waiting keeps a core busy that a training rank may need.
"""

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import ase.parallel

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

__all__ = ["CollectiveError", "Ranks", "Replicas", "own_communicator", "without_launcher"]

# ASE would otherwise make every file and database access a collective of all ranks
ase.parallel.world.comm = ase.parallel.DummyMPI()

Item = TypeVar("Item")
Result = TypeVar("Result")
POLL = 0.01  # s
# A sum over replicas comes after equal work on each: to look again at once finds it in 0.1 ms. But
# where ranks share a core, the one that looks keeps it from the one that is awaited.
PATIENCE, NAP = 3e-4, 1e-5  # s
# these hold the number of a rank in MPICH's Hydra, Open MPI and SLURM; not where ranks may run
LAUNCHER_VARIABLES = (
    *("PMI_", "PMIX_", "MPI_LOCAL", "HYDI_", "OMPI_COMM_WORLD_", "OMPI_MCA_"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS", "SLURM_STEP"),
)


class CollectiveError(Exception):
    """An error that all ranks of a group raise together.

    Attributes:
        error: the original error.
        n_ranks: size of the group.
        reported_elsewhere: whether another rank of the group reports the error to the user.
    """

    def __init__(self, error: Exception, n_ranks: int, reported_elsewhere: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.n_ranks = n_ranks
        self.reported_elsewhere = reported_elsewhere


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
        """A barrier whose ranks sleep."""
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
        """Run on the root while the others sleep; every rank gets its result, or its error."""
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
        """Raise an error that every rank of the group has; only the root reports it.

        Raises:
            CollectiveError: on several ranks. A single rank raises the error itself.
        """
        if self.size == 1:
            raise error
        raise CollectiveError(error, self.size, not self.is_root) from error

    def together(self, function: Callable[[], Result]) -> Result:
        """Run on every rank; if it fails on one, every rank raises that error."""
        if self.size == 1:
            return function()
        result, failure = None, None
        try:
            result = function()
        except Exception as error:
            failure = error
        self.wait_for_all()
        for each in self.communicator.allgather(failure):
            if each is not None:
                self.fail(each)
        return cast(Result, result)

    def first(self, n: int) -> "Ranks | None":
        """The first n ranks as a group of their own; None on the others."""
        group = self.split(int(self.rank >= n)) if n < self.size else self
        return group if self.rank < n else None

    def share_out(self, function: Callable[[int], Result], n: int) -> list[Result]:
        """function(0) … function(n - 1), each on one rank; all results on every rank."""
        mine = self.together(lambda: {k: function(k) for k in range(self.rank, n, self.size)})
        parts = self.communicator.allgather(mine)
        return [parts[k % self.size][k] for k in range(n)]

    @contextlib.contextmanager
    def replicas(self, device: str = "cpu") -> Iterator["Replicas"]:
        """These ranks as replicas of one potential that is trained on `device`."""
        if self.size == 1 or not device.startswith("cuda"):
            yield Replicas(self.rank, self.size, self.communicator)
            return
        import torch.distributed

        path = Path(tempfile.gettempdir()) / self.share(f"pyubias-{uuid.uuid4().hex}")
        store = torch.distributed.FileStore(str(path), self.size)  # type: ignore[attr-defined]
        torch.distributed.init_process_group(
            "nccl", store=store, rank=self.rank, world_size=self.size
        )
        try:
            yield Replicas(self.rank, self.size)
        finally:
            torch.distributed.destroy_process_group()
            del store  # which opens the file once more, and would leave an empty one behind
            self.wait_for_all()
            if self.is_root:
                path.unlink(missing_ok=True)

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        workspace: Path,
        ranks_per_item: int = 1,
        group_function: Callable[[Item, "Ranks"], Result] | None = None,
    ) -> list[Result]:
        """Results of all items, in order, on every rank; each item goes to a rank that is free.

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
        # mpirun would lose what was printed just before
        time.sleep(1.0)
        self.communicator.Abort(code)


class Replicas:
    """Ranks that hold the same parameters and share the work on each batch.

    Args:
        rank, size: of this replica, and how many there are.
        communicator: of mpi4py, which adds up on CPUs. Without it several replicas take NCCL, by
            way of the process group of torch.distributed.
    """

    def __init__(self, rank: int = 0, size: int = 1, communicator: Any = None) -> None:
        self.rank = rank
        self.size = size
        self.communicator = communicator

    def part(self, items: Sequence[Item]) -> Sequence[Item]:
        """This rank's slice of `items`, which all ranks hold."""
        return items[self.rank :: self.size]

    def add_up(self, tensor: "Tensor") -> None:
        """Replace a contiguous tensor by its sum over the replicas, on all the same to the bit."""
        if self.size == 1:
            return
        import torch.distributed

        if self.communicator is None:
            torch.distributed.all_reduce(tensor)
        else:
            _add_up(tensor.numpy(), self.communicator)


@contextlib.contextmanager
def without_launcher() -> Iterator[None]:
    """An environment in which started programs run alone, and not as MPI ranks of this program.

    MPI's launchers pass the number of a rank in environment variables, which the programs that it
    starts inherit. A program with an MPI of its own would wait for the other ranks, or join them.
    """
    hidden = {k: v for k, v in os.environ.items() if k.startswith(LAUNCHER_VARIABLES)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def own_communicator() -> Any:
    """The mpi4py communicator of this rank alone."""
    from mpi4py import MPI

    return MPI.COMM_SELF


def _add_up(numbers: Any, communicator: Any) -> None:
    """Replace an array of NumPy by its sum over the ranks."""
    from mpi4py import MPI

    request = communicator.Iallreduce(MPI.IN_PLACE, numbers)
    end = time.perf_counter() + PATIENCE
    while not request.Test():
        if time.perf_counter() > end:
            time.sleep(NAP)


def _claim(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
