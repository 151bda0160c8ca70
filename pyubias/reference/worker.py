"""A reference in a process of its own, whose crash, exit or hang costs one label only."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from ase import Atoms

from pyubias.interruption import end_with_parent
from pyubias.parallel import without_launcher
from pyubias.reference.label import LabelError, ReferenceMethodError
from pyubias.reference.method import open_method
from pyubias.training.labels import Label

if TYPE_CHECKING:
    from pyubias.config.schema import AseReference, LammpsReference

__all__ = ["Worker"]

# what the process answers, with its value
READY, LABEL, LABEL_ERROR, METHOD_ERROR = "ready", "label", "label error", "method error"


class Worker:
    """A reference that labels in a process, which is started again after it ended.

    Args:
        config: of the reference.
        place: (rank, number of ranks) of the caller, which keep the files of ranks apart.
    """

    def __init__(self, config: "LammpsReference | AseReference", place: tuple[int, int]) -> None:
        self.config = config
        self.max_force = config.max_force
        self.place = place
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Any = None
        self._start()

    def __call__(self, atoms: Atoms) -> Label:
        """Label one frame, and try again if the method fails.

        Raises:
            LabelError: the method failed, took longer than `config.timeout`, or ended its process,
                each time; the message has every reason once.
            ReferenceMethodError: the method cannot label this kind of structure, or cannot be set
                up again.
        """
        reasons = []
        for _ in range(1 + self.config.retries):
            try:
                return self._label(atoms)
            except LabelError as error:
                reasons.append(str(error))
        raise LabelError("; then: ".join(dict.fromkeys(reasons)))

    def _label(self, atoms: Atoms) -> Label:
        if self._process is None:
            self._start()
        try:
            # a copy without a calculator, which need not be made for another process
            self._connection.send(atoms.copy())
            kind, value = self._answer()
        except _Ended as ended:
            raise LabelError(f"the reference {ended}") from ended
        if kind == METHOD_ERROR:
            raise ReferenceMethodError(value)
        if kind == LABEL_ERROR:
            raise LabelError(value)
        label: Label = value
        return label

    def close(self) -> None:
        """End the process, and the programs that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        self._connection.close()
        # the process leads a group of its own, so that its children end with it
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _start(self) -> None:
        ours, theirs = Pipe()
        # a program that the reference starts must not take itself for a rank of ours
        with without_launcher():
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        theirs.close()
        self._connection = ours
        try:
            # as plain values: the process then does not import pydantic, which takes longer than
            # the rest of it
            ours.send((sys.path, dict(self.config), self.place))
            kind, value = self._answer()
        except _Ended as ended:
            raise ReferenceMethodError(f"the reference {ended} while it was set up") from ended
        if kind == METHOD_ERROR:
            self.close()
            raise ReferenceMethodError(value)

    def _answer(self) -> tuple[str, Any]:
        """Wait for the process.

        Raises:
            _Ended: it ended, or it was ended because it took too long.
        """
        try:
            if self._connection.poll(self.config.timeout):
                answer: tuple[str, Any] = self._connection.recv()
                return answer
        except (EOFError, OSError, pickle.UnpicklingError):
            assert self._process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
            code = self._process.returncode
            self.close()
            raise _Ended(_describe_exit(code)) from None
        self.close()
        raise _Ended(f"took longer than reference.timeout = {self.config.timeout:g} s")


class _Ended(Exception):
    """The process is no more; the message completes "the reference …"."""


def _describe_exit(code: int | None) -> str:
    if code is None:
        return "closed its connection"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended its process with exit code {code}"


def _serve(connection: Connection) -> None:
    """The process: set the method up, then label frames until the caller closes the connection."""
    path, settings, place = connection.recv()
    sys.path[:] = path
    config = cast("LammpsReference | AseReference", SimpleNamespace(**settings))
    with contextlib.ExitStack() as stack:
        try:
            method = stack.enter_context(open_method(config, place))
        except Exception as error:
            connection.send((METHOD_ERROR, _message(error)))
            return
        connection.send((READY, None))
        folder = os.getcwd()
        while True:
            try:
                atoms = connection.recv()
            except EOFError:
                return
            # a calculator may have left another folder behind
            os.chdir(folder)
            try:
                answer: tuple[str, Any] = (LABEL, method(atoms))
                pickle.dumps(answer)
            except ReferenceMethodError as error:
                answer = (METHOD_ERROR, str(error))
            except LabelError as error:
                answer = (LABEL_ERROR, str(error))
            except BaseException as error:  # calculators raise whatever they like, SystemExit too
                answer = (LABEL_ERROR, _message(error)[:300])
            connection.send(answer)


def _message(error: BaseException) -> str:
    if isinstance(error, ReferenceMethodError):
        return str(error)
    reason = " ".join(str(error).split())
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


if __name__ == "__main__":
    end_with_parent()  # which may be killed
    # a Ctrl-C in the terminal is for the caller
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(Connection(int(sys.argv[1])))
