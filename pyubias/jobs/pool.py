"""The engine that sends tasks to jobs of a cluster, through Parsl."""

import contextlib
import queue
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pyubias.config.resources import JobResources, ParslResources, ResourcesConfig
from pyubias.errors import UserError
from pyubias.jobs.claims import is_claimed
from pyubias.jobs.parsl_config import parsl_config, require_parsl
from pyubias.jobs.task import Task, claim_of, work

__all__ = ["Pool", "check_resources"]

LOOK = 1.0  # s between two looks at tasks that somebody else works on
SomeTask = TypeVar("SomeTask", bound=Task)


class Pool:
    """Jobs that do the tasks of those stages that do not run on the campaign's own ranks.

    Parsl starts with the first task. Jobs are asked for when there are tasks, and end when there
    are none.

    Args:
        resources: of all stages.
        folder: for claims, logs and what Parsl writes; all computers must see it.
    """

    def __init__(self, resources: ResourcesConfig, folder: Path) -> None:
        self.stages = _in_jobs(resources)
        self.folder = folder
        self._labels: Mapping[str, str] = {}
        self._kernel: Any = None
        self._futures: dict[str, Any] = {}

    def runs(self, stage: str) -> bool:
        """Whether the tasks of a stage go to jobs."""
        return stage in self.stages

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
                    future = self._submit(stage, task)
                    future.add_done_callback(lambda _, name=name: ended.put(name))
                    followed.add(name)
                elif task.output.is_file():
                    finished(left.pop(name))
                # else a job of a driver that was killed works on it
            with contextlib.suppress(queue.Empty):
                while left and not may_end(list(left.values())):
                    name = ended.get(timeout=LOOK)
                    task = left.pop(name)
                    problem = _problem(task, self._futures.pop(name))
                    if problem:
                        problems.append(problem)
                    else:
                        finished(task)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise UserError(problems[0] + more)
        return list(left.values())

    def close(self) -> None:
        """End all jobs."""
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            kernel.cleanup()

    def _submit(self, stage: str, task: Task) -> Any:
        from parsl import DataFlowKernel, python_app

        if self._kernel is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            config, self._labels = parsl_config(self.stages, self.folder)
            self._kernel = DataFlowKernel(config)
        if task.name not in self._futures:
            app = python_app(work, data_flow_kernel=self._kernel, executors=[self._labels[stage]])
            launch = self.stages[stage].launch
            self._futures[task.name] = app(task, str(self.folder), launch)
        return self._futures[task.name]


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


def _problem(task: Task, future: Any) -> str:
    error = future.exception()
    if error is not None:
        reason = " ".join(str(error).split())[:300]
        return f"the jobs of {task.name} ended before it was done: {type(error).__name__}: {reason}"
    message: str = future.result()
    return message
