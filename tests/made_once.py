"""What the processes of a test run share: folders that are expensive to fill, and the cores."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first process that asks fills, while the others wait for it.

    Args:
        factory: of the session.
        name: of the folder, the same in all processes.
        make: fills the folder.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # the workers of one run have folders of their own below it
    folder = root / name
    complete = root / f"{name}.complete"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            complete.touch()
    return folder


@contextlib.contextmanager
def all_cores() -> Iterator[None]:
    """Run one program of several ranks at a time: MPI ranks that wait keep their cores busy."""
    lock = Path(tempfile.gettempdir()) / f"pyubias-tests-{os.getuid()}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
