"""The engine that sends tasks to jobs of a cluster, through Parsl."""

import contextlib
import logging
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pyubias.config.resources import JobResources, ParslResources, ResourcesConfig
from pyubias.errors import UserError
from pyubias.jobs.claims import is_claimed
from pyubias.jobs.parsl_config import parsl_config, require_parsl
from pyubias.jobs.task import Task, claim_of, work

__all__ = ["Jobs", "Pool", "check_resources", "open_pools"]

LOOK = 1.0  # s between two looks at tasks that somebody else works on
SomeTask = TypeVar("SomeTask", bound=Task)
PROVIDERS = logging.getLogger("parsl.providers")


class Refusals(logging.Handler):
    """Keeps what the batch system said of the last job that it did not take.

    Parsl writes the answers of `sbatch`, `qsub` and `bsub` into its log, and raises some of them.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        _, found, answer = record.getMessage().rpartition("STDERR:")
        if found:
            self.last = _one_line(answer)


class Jobs:
    """Jobs that do the tasks of those stages that do not run on the campaign's own ranks.

    Parsl starts with the first task. Jobs are asked for when there are tasks, and end when there
    are none.

    Args:
        resources: of all stages.
        folder: for what Parsl writes; all computers must see it.
    """

    def __init__(self, resources: ResourcesConfig, folder: Path) -> None:
        self.stages = _in_jobs(resources)
        self.folder = folder
        self._labels: Mapping[str, str] = {}
        self._kernel: Any = None
        self._refusals = Refusals()
        self._unfinished: set[Any] = set()
        # Linux ends Parsl's interchange with the thread that started it (`end_with_parent`)
        self._thread = ThreadPoolExecutor(1)

    def submit(self, stage: str, task: Task, folder: Path) -> Any:
        """The future of a task, whose claim is in the folder."""
        from parsl import DataFlowKernel, python_app

        if self._kernel is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            config, self._labels = parsl_config(self.stages, self.folder)
            self._kernel = self._thread.submit(DataFlowKernel, config).result()
            PROVIDERS.addHandler(self._refusals)
        folder.mkdir(parents=True, exist_ok=True)
        app = python_app(work, data_flow_kernel=self._kernel, executors=[self._labels[stage]])
        future = app(task, str(folder), self.stages[stage].launch)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    def problem(self, task: Task, future: Any) -> str:
        """Why a task that has ended is not done, in one line; empty if it is done."""
        error = future.exception()
        if error is None:
            message: str = future.result()
            return message
        if self._refusals.last and "Failed to start block" in str(error):
            return f"the batch system refused a job for {task.name}: {self._refusals.last}"
        reason = f"{type(error).__name__}: {_one_line(str(error))}"
        return f"the jobs of {task.name} ended before it was done: {reason}"

    def close(self) -> None:
        """End all jobs, unless tasks are unfinished: then they go on as after a kill."""
        PROVIDERS.removeHandler(self._refusals)
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            if self._unfinished:
                _leave_jobs(kernel)
            kernel.cleanup()
        self._thread.shutdown()


class Pool:
    """The tasks of one arm of a campaign, and the jobs that do them.

    Args:
        jobs: which may do the tasks of another arm as well.
        folder: for claims and logs; all computers must see it.
        waiting: makes a context in which the pool waits for jobs.
    """

    def __init__(
        self,
        jobs: Jobs,
        folder: Path,
        waiting: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.jobs = jobs
        self.folder = folder
        self._waiting = waiting
        self._futures: dict[str, Any] = {}

    def runs(self, stage: str) -> bool:
        """Whether the tasks of a stage go to jobs."""
        return stage in self.jobs.stages

    def run(
        self,
        stage: str,
        tasks: Sequence[SomeTask],
        finished: Callable[[SomeTask], None],
        may_end: Callable[[Sequence[SomeTask]], bool] = lambda left: not left,
    ) -> list[SomeTask]:
        """Do all tasks that are not done, each once.

        Args:
            stage: whose resources they get.
            tasks: to be done.
            finished: called here with each task whose output is there, in the order of their ends.
            may_end: whether to return without the tasks that are left, which then go on; they are
                done when they are asked for again.

        Returns:
            those that are left.

        Raises:
            UserError: a task failed, or its jobs ended too often; the others were done before.
        """
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        left, problems = {task.name: task for task in tasks}, []
        followed: set[str] = set()
        while left and not may_end(list(left.values())):
            for name, task in list(left.items()):
                if name in followed:
                    continue
                if name in self._futures or not (
                    task.output.is_file() or is_claimed(claim_of(task, self.folder))
                ):
                    if name not in self._futures:
                        self._futures[name] = self.jobs.submit(stage, task, self.folder)
                    future = self._futures[name]
                    future.add_done_callback(lambda _, name=name: ended.put(name))
                    followed.add(name)
                elif task.output.is_file():
                    finished(left.pop(name))
                # else a job of a driver that was killed works on it
            with contextlib.suppress(queue.Empty):
                while left and not may_end(list(left.values())):
                    with self._waiting():
                        name = ended.get(timeout=LOOK)
                    task = left.pop(name)
                    problem = self.jobs.problem(task, self._futures.pop(name))
                    if problem:
                        problems.append(problem)
                    else:
                        finished(task)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise UserError(problems[0] + more)
        return list(left.values())


@contextlib.contextmanager
def open_pools(
    resources: Sequence[ResourcesConfig],
    folders: Sequence[Path],
    waiting: Callable[[], contextlib.AbstractContextManager[None]],
) -> Iterator[list[Pool]]:
    """A pool for each arm of a campaign; arms with the same resources share their jobs.

    Args:
        resources, folders: of each arm.
        waiting: makes a context in which a pool waits for jobs.
    """
    with contextlib.ExitStack() as stack:
        pools: list[Pool] = []
        for k, (wanted, folder) in enumerate(zip(resources, folders, strict=True)):
            first = resources.index(wanted)
            if first == k:
                jobs = stack.enter_context(contextlib.closing(Jobs(wanted, folder)))
            else:
                jobs = pools[first].jobs
            pools.append(Pool(jobs, folder, waiting))
        yield pools


def check_resources(resources: ResourcesConfig) -> None:
    """Find out what would stop the first job.

    Raises:
        UserError: Parsl is not installed, or its configuration is unusable.
    """
    stages = _in_jobs(resources)
    for name in stages:
        require_parsl(f"resources.{name}")
    if stages:
        parsl_config(stages, Path())


def _in_jobs(resources: ResourcesConfig) -> dict[str, JobResources | ParslResources]:
    """The stages that do not run on the campaign's own ranks."""
    stages = {name: getattr(resources, name) for name in ResourcesConfig.model_fields}
    return {name: stage for name, stage in stages.items() if stage.kind != "mpi"}


def _leave_jobs(kernel: Any) -> None:
    """Let Parsl end without the jobs that it would cancel."""
    for executor in kernel.executors.values():
        if getattr(executor, "provider", None) is not None:
            executor.provider.cancel = lambda job_ids: [True for _ in job_ids]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
