"""Functions side by side that take turns, so that their code need not be safe for threads."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

__all__ = ["Turns"]


class _AnotherFailed(Exception):
    """Ends a function, of which its caller learns nothing: it gets the error of the other one."""


class Turns:
    """A turn that functions hand to each other: one of them runs while the others wait for jobs."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._failed = False

    def run(self, functions: Sequence[Callable[[], None]], side_by_side: bool) -> None:
        """Run all functions to their ends, in threads or one after the other.

        Raises:
            Exception: that of the first function that failed. The others ended the next time that
                they waited.
        """
        if not side_by_side or len(functions) == 1:
            with self._turn:
                for function in functions:
                    function()
            return
        with ThreadPoolExecutor(len(functions)) as threads:
            try:
                futures = [threads.submit(self._run, function) for function in functions]
                wait(futures)
            except BaseException:  # Ctrl-C: the threads would go on to the end of their work
                self._failed = True
                raise
        for future in futures:
            future.result()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Let another function run while the block waits for something outside this process."""
        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()
            if self._failed:
                raise _AnotherFailed

    def _run(self, function: Callable[[], None]) -> None:
        with self._turn:
            if self._failed:
                return
            try:
                function()
            except _AnotherFailed:
                pass
            except BaseException:
                self._failed = True
                raise
