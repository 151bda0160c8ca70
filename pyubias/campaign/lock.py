"""A lock on a run folder, so that one process at a time writes to it."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pyubias.errors import UserError

__all__ = ["locked"]

NAME = "run.lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder while the block runs.

    The operating system releases the lock when the process ends, however it ends. A lock is
    therefore never stale, also after a kill or a requeue.

    Raises:
        UserError: another process holds the lock; the message names it.
    """
    path = folder / NAME
    file = _acquire(path)
    if file is None:
        yield  # this file system has no locks
        return
    try:
        holder = {"host": socket.gethostname(), "process": os.getpid(), "since": time.ctime()}
        file.truncate(0)
        file.write(json.dumps(holder))
        file.flush()
        yield
    finally:
        # removed while the lock is held: who opened it before finds another file at its path
        path.unlink(missing_ok=True)
        file.close()


def _acquire(path: Path) -> IO[str] | None:
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read()
            file.close()
            raise UserError(
                f"another run uses {path.parent}{_describe(holder)}: wait for its end, or end it"
            ) from None
        except OSError:
            file.close()
            return None
        # the holder before may have removed this file after it was opened here
        if path.is_file() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
        file.close()


def _describe(holder: str) -> str:
    try:
        values = json.loads(holder)
    except json.JSONDecodeError:  # the holder has not written yet
        return ""
    return f" (process {values['process']} on {values['host']}, since {values['since']})"
