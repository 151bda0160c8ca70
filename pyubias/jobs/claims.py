"""Claims: a file that says that somebody works on a task, and that disappears with them.

A driver that was killed leaves jobs behind that go on for a while. The next driver learns from
their claims what need not be submitted a second time.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from pyubias.errors import UserError
from pyubias.files import read_json

__all__ = ["POLL", "claimed", "is_claimed"]

BEAT = 5.0  # s between two signs of life
# a claim without a sign of life for so long is nobody's; file systems of clusters show changes late
STALE = 60.0  # s
POLL = 0.2  # s


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold a claim while the block runs; wait for who else may hold it.

    Args:
        path: of the claim, in a folder that all computers see.
    """
    while not _create(path):
        if is_claimed(path):
            time.sleep(POLL)
        else:
            path.unlink(missing_ok=True)
    stop = threading.Event()
    thread = threading.Thread(target=_give_signs, args=(path, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        path.unlink(missing_ok=True)


def is_claimed(path: Path) -> bool:
    """Whether somebody holds this claim, as far as can be seen from here."""
    try:
        holder = read_json(path)
        age = _now(path.parent) - path.stat().st_mtime
    except FileNotFoundError:
        return False
    except UserError:  # its holder has not written yet
        return path.is_file() and _now(path.parent) - path.stat().st_mtime < STALE
    if holder["host"] == socket.gethostname() and not _runs(holder["process"]):
        return False
    return age < STALE


def _create(path: Path) -> bool:
    try:
        with path.open("x") as file:
            json.dump({"host": socket.gethostname(), "process": os.getpid()}, file)
    except FileExistsError:
        return False
    return True


def _give_signs(path: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(path)


def _now(folder: Path) -> float:
    """The time by the clock of the file system, which may differ from that of this computer."""
    probe = folder / f".{uuid.uuid4().hex}.tmp"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
