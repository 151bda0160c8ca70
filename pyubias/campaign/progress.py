"""What a running campaign shows: lines in a log, and a live table where there is a terminal."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from pyubias.campaign.run_folder import RunFolder
from pyubias.console import duration
from pyubias.errors import UserError
from pyubias.files import read_json, write_json

__all__ = ["Progress", "live_table", "wants_live_table"]

THROTTLE = 0.5  # s between two versions of the status file


class Progress:
    """The log and the status of one arm of a campaign.

    Args:
        arm: name in front of every line.
        folder: of the arm; holds the status file while the arm runs.
        log: file that all arms append their lines to.
        is_root: whether this rank is the root of the arm. Other ranks write no status.
        echo: whether lines go to standard output as well.
    """

    def __init__(self, arm: str, folder: RunFolder, log: Path, is_root: bool, echo: bool) -> None:
        self.arm = arm
        self.folder = folder
        self.log_file = log
        self.is_root = is_root
        self.echo = echo
        self.status: dict[str, Any] = {"arm": arm, "stage": "starting"}
        self._last_write = 0.0

    def on(self, is_root: bool) -> "Progress":
        """The same arm seen from a program of its own, which prints nothing."""
        return Progress(self.arm, self.folder, self.log_file, is_root, echo=False)

    def log(self, text: str) -> None:
        """Write one line if this rank is the root."""
        if self.is_root:
            self.log_here(text)

    def log_here(self, text: str) -> None:
        """Write one line from any rank, about something that only this rank has seen."""
        line = f"[{self.arm}] {text}"
        with self.log_file.open("a") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        if self.echo:
            # in one write, because the lines of several ranks share the terminal
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    def stage(self, name: str, detail: str = "") -> None:
        """Begin a new stage."""
        self.update(stage=name, done=0, total=0, force=True)
        if detail:
            self.log(f"{name}: {detail}")

    def update(self, force: bool = False, **changes: Any) -> None:
        """Change the status that the live table shows."""
        self.status.update(changes)
        now = time.monotonic()
        if self.is_root and (force or now - self._last_write > THROTTLE):
            self._last_write = now
            write_json(self.folder.status, self.status)


@contextlib.contextmanager
def live_table(folders: Sequence[RunFolder], wanted: bool) -> Iterator[None]:
    """Show the status of all arms, refreshed while the block runs."""
    if not wanted:
        yield
        return
    stop = threading.Event()
    with Live(_table(folders), console=Console(), refresh_per_second=4) as live:

        def refresh() -> None:
            while not stop.wait(0.25):
                live.update(_table(folders))

        thread = threading.Thread(target=refresh, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            live.update(_table(folders))


def wants_live_table() -> bool:
    return sys.stdout.isatty()


def _table(folders: Sequence[RunFolder]) -> Table:
    """One column for each arm, which fits 80 characters; a row without a value is left out."""
    found = []
    for folder in folders:
        with contextlib.suppress(OSError, UserError):
            found.append(read_json(folder.status))
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "iteration": lambda s: str(s.get("iteration", "")),
        "stage": _stage,
        "labels": lambda s: f"{s.get('labels', 0)} of {s.get('label_budget', 0)}",
        "MD steps": lambda s: f"{s.get('md_steps', 0):,}",
        "coverage": lambda s: _number(s.get("coverage"), "{:.3f}"),
        "E on the test set": lambda s: _number(s.get("energy_rmse"), "{:.1f} meV/atom", 1e3),
        "F on the test set": lambda s: _number(s.get("forces_rmse"), "{:.1f} meV/Å", 1e3),
        "time left": lambda s: duration(s.get("seconds_left") or None),
    }
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("arm", *(status["arm"] for status in found)):
        table.add_column(column, no_wrap=True)
    for name, cell in rows.items():
        cells = [cell(status) for status in found]
        if any(cells):
            table.add_row(name, *cells)
    return table


def _stage(status: dict[str, Any]) -> str:
    done = f" {status['done']}/{status['total']}" if status.get("total") else ""
    return f"{status['stage']}{done}"


def _number(value: float | None, form: str, factor: float = 1.0) -> str:
    return "" if value is None else form.format(factor * value)
