"""A program in a process of its own, which ends when it takes too long or we end."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyubias.errors import UserError
from pyubias.parallel import without_launcher

__all__ = ["run_program"]

# asks Linux (prctl PR_SET_PDEATHSIG) to end the program with us, and becomes the program
START = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execvp(sys.argv[1], sys.argv[1:])"
)


def run_program(
    command: Sequence[str],
    folder: Path,
    log: Path,
    timeout: float | None,
    environment: Mapping[str, str],
) -> None:
    """Run a program in a folder until its end.

    Args:
        command: program and arguments.
        folder: where it runs.
        log: gets what it prints.
        timeout: s; None is no limit.
        environment: variables to set besides those of this process.

    Raises:
        UserError: it cannot be started, fails, or takes too long.
    """
    name = Path(command[0]).name
    with log.open("w") as file, without_launcher():
        process = subprocess.Popen(
            [sys.executable, "-c", START, *command],
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise UserError(f"{name} took longer than trainer.timeout = {timeout:g} s") from None
    finally:
        if process.poll() is None:
            # it leads a group of its own, so that its children end with it
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        raise UserError(f"{name} ended with exit status {code}: {_reason(log)} (all in '{log}')")


def _reason(log: Path) -> str:
    """The last line that is a Python error, or else the last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
    said = [line for line in lines if line]
    return (errors or said or ["it printed nothing"])[-1][:300]
