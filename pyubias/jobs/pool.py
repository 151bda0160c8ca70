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

__all__ = ["Pool"]

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
        stages = {name: getattr(resources, name) for name in ResourcesConfig.model_fields}
        self.stages: Mapping[str, JobResources | ParslResources] = {
            name: stage for name, stage in stages.items() if stage.kind != "mpi"
        }
        self.folder = folder
        self._labels: Mapping[str, str] = {}
        self._kernel: Any = None
        for name in self.stages:
            require_parsl(f"resources.{name}")

    def runs(self, stage: str) -> bool:
        """Whether the tasks of a stage go to jobs."""
        return stage in self.stages

    def run(
        self, stage: str, tasks: Sequence[SomeTask], finished: Callable[[SomeTask], None]
    ) -> None:
        """Do all tasks that are not done, each once.

        Args:
            stage: whose resources they get.
            tasks: to be done.
            finished: called here with each task whose output is there, in the order of their ends.

        Raises:
            UserError: a task failed, or its jobs ended too often; the others were done before.
        """
        ended: queue.SimpleQueue[tuple[SomeTask, Any]] = queue.SimpleQueue()
        waiting, submitted, problems = list(tasks), 0, []
        while waiting or submitted:
            elsewhere = []
            for task in waiting:
                if task.output.is_file():
                    finished(task)
                elif is_claimed(claim_of(task, self.folder)):
                    elsewhere.append(task)  # by a job of a driver that was killed
                else:
                    future = self._submit(stage, task)
                    future.add_done_callback(lambda future, task=task: ended.put((task, future)))
                    submitted += 1
            waiting = elsewhere
            with contextlib.suppress(queue.Empty):
                while submitted or waiting:
                    task, future = ended.get(timeout=LOOK)
                    submitted -= 1
                    problem = _problem(task, future)
                    if problem:
                        problems.append(problem)
                    else:
                        finished(task)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise UserError(problems[0] + more)

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
        app = python_app(work, data_flow_kernel=self._kernel, executors=[self._labels[stage]])
        return app(task, str(self.folder), self.stages[stage].launch)


def _problem(task: Task, future: Any) -> str:
    error = future.exception()
    if error is not None:
        reason = " ".join(str(error).split())[:300]
        return f"the jobs of {task.name} ended before it was done: {type(error).__name__}: {reason}"
    message: str = future.result()
    return message
