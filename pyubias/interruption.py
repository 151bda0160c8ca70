"""Ends of a process from outside: Ctrl-C, the signals of batch systems, and limits of time."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

__all__ = ["end_with_parent", "resumable", "time_limit"]

# of the terminal, of batch systems, and those that Slurm's --signal is often asked to send
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
PR_SET_PDEATHSIG = 1  # of Linux' prctl
SHOW_CURSOR = "\x1b[?25h"  # a live table hides it


@contextlib.contextmanager
def resumable(is_root: bool = True) -> Iterator[None]:
    """End the process at once when a signal comes while the block runs; its work is on disk.

    The exit status is 128 plus the number of the signal, as that of a program without handlers. A
    walker is in LAMMPS for minutes, where handlers of Python would wait for its end; a thread does
    not.

    Args:
        is_root: whether this rank prints the line that says how to go on.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # as set_wakeup_fd wants it
    thread = threading.Thread(target=_wait_for_signal, args=(reading, is_root), daemon=True)
    thread.start()
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    wakeup_before = signal.set_wakeup_fd(writing)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)  # the thread reads the end of the pipe
        thread.join()
        os.close(reading)


@contextlib.contextmanager
def time_limit(seconds: float | None, end: Callable[[], str]) -> Iterator[None]:
    """End the process if the block takes longer; nothing else ends a program that does not return.

    Args:
        seconds: None is no limit.
        end: called before the end, from another thread; returns the line to print.
    """

    def expire() -> None:
        try:
            line = end()
        except Exception as error:  # the process must end even so
            line = f"{error}"
        os.write(2, f"pyubias: error: {line}\n".encode())
        os._exit(2)

    timer = None if seconds is None else threading.Timer(seconds, expire)
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


def end_with_parent() -> None:
    """Let the kernel end this process when the one that started it ends, however it does."""
    with contextlib.suppress(AttributeError):  # not on Linux
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_for_signal(reading: int, is_root: bool) -> None:
    received = os.read(reading, 1)
    if not received:
        return
    name = signal.Signals(received[0]).name
    if is_root:
        cursor = SHOW_CURSOR if sys.stdout.isatty() else ""
        line = f"pyubias: stopped by {name}; nothing is lost: the same command goes on\n"
        # the buffers of Python may be in use by the thread that is interrupted
        os.write(2, f"{cursor}{line}".encode())
    os._exit(128 + received[0])
