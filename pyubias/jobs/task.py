"""Tasks, and what a job does with one."""

import pickle
import shlex
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Protocol

from pyubias.errors import UserError
from pyubias.files import read_json, write_json, write_with
from pyubias.interruption import end_with_parent
from pyubias.jobs.claims import POLL, claimed, is_claimed
from pyubias.parallel import CollectiveError, Ranks, without_launcher

__all__ = ["Task", "claim_of", "work"]


class Task(Protocol):
    """Something to be done elsewhere, from nothing but its attributes. It can be pickled.

    Attributes:
        name: unique among the tasks of a run.
        output: a file that exists when the task is done, and not before.
        ranks: MPI ranks of a program of its own that it wants; 0 runs it in the worker of Parsl,
            which saves the start of a program and suits short tasks that never crash.
    """

    @property
    def name(self) -> str: ...

    @property
    def output(self) -> Path: ...

    @property
    def ranks(self) -> int: ...

    def run(self, ranks: Ranks | None) -> None:
        """Do it and write `output`; all ranks of the program call it."""


def claim_of(task: Task, folder: Path) -> Path:
    """The claim of who works on a task."""
    return folder / f"{task.name}.claim"


def work(task: Task, folder: str, launch: str) -> str:
    """Do a task, unless it is done; wait for its end if somebody else is doing it.

    Args:
        task: to be done.
        folder: for claims and logs, which all computers see.
        launch: command that starts a program on several ranks, with {ranks} for their number.

    Returns:
        what went wrong, in one line; empty if nothing did.
    """
    place = Path(folder)
    claim = claim_of(task, place)
    while is_claimed(claim) and not task.output.is_file():
        time.sleep(POLL)
    if task.output.is_file():
        return ""
    with claimed(claim):
        if task.output.is_file():
            return ""
        if task.ranks:
            return _run_program(task, place, launch)
        try:
            task.run(None)
        except UserError as error:
            return str(error)
    return ""


def _run_program(task: Task, folder: Path, launch: str) -> str:
    files = {kind: folder / f"{task.name}.{kind}" for kind in ("task", "error", "log")}
    files["error"].unlink(missing_ok=True)
    write_with(files["task"], lambda path: path.write_bytes(pickle.dumps(task)))
    program = [sys.executable, "-m", __name__, str(files["task"]), str(files["error"])]
    if task.ranks > 1:
        program = [*shlex.split(launch.format(ranks=task.ranks)), *program]
    with without_launcher(), files["log"].open("w") as log:
        ended = subprocess.run(
            program, stdout=log, stderr=subprocess.STDOUT, check=False, preexec_fn=end_with_parent
        )
    if task.output.is_file():  # also of a walk that failed, which costs that walk only
        files["task"].unlink()
        files["log"].unlink()
        return ""
    if files["error"].is_file():
        return str(read_json(files["error"]))
    return f"{task.name} {_described(ended.returncode)}; what it printed is in {files['log']}"


def _described(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code} and without its result"


def main(task_file: str, error_file: str) -> int:
    """The program of a task: returns its exit code."""
    task: Task = pickle.loads(Path(task_file).read_bytes())
    ranks = Ranks()
    try:
        task.run(ranks)
    except Exception as error:
        reason = error.error if isinstance(error, CollectiveError) else error
        if not isinstance(reason, UserError):
            traceback.print_exception(reason)  # into the log of the task
            reason = UserError(f"{task.name}: {type(reason).__name__}: {reason}")
        write_json(Path(error_file), str(reason))
        if ranks.size > 1:  # others may wait for this one
            ranks.abort(2)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
