"""What a running campaign tells: lines in a log, and a live table when there is a terminal."""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, JustifyMethod
from rich.live import Live
from rich.table import Table

__all__ = ["Progress", "live_table"]

THROTTLE = 0.5  # s between two looks that others may have at the status


class Progress:
    """The voice of one arm of a campaign. Ranks other than the arm's root stay silent.

    Args:
        arm: name shown in front of every line.
        folder: of the arm; holds ``status.json`` while it runs.
        log: file that all arms append their lines to.
        speaks: whether this rank is the arm's root.
        echo: whether lines go to standard output as well.
    """

    def __init__(self, arm: str, folder: Path, log: Path, speaks: bool, echo: bool) -> None:
        self.arm = arm
        self.folder = folder
        self.log = log
        self.speaks = speaks
        self.echo = echo
        self.status: dict[str, Any] = {"arm": arm, "stage": "starting"}
        self._last_write = 0.0

    def say(self, text: str) -> None:
        """One line, to the log and to whoever watches."""
        if self.speaks:
            self.tell(text)

    def tell(self, text: str) -> None:
        """One line from any rank: about something that only this rank has seen."""
        line = f"[{self.arm}] {text}"
        with self.log.open("a") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        if self.echo:
            # one write: lines of several ranks share the terminal
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    def stage(self, name: str, detail: str = "") -> None:
        """A new stage begins."""
        self.update(stage=name, done=0, total=0, force=True)
        if detail:
            self.say(f"{name}: {detail}")

    def update(self, force: bool = False, **changes: Any) -> None:
        """Change the status that the live table shows."""
        self.status.update(changes)
        now = time.monotonic()
        if self.speaks and (force or now - self._last_write > THROTTLE):
            self._last_write = now
            temporary = self.folder / ".status.tmp"
            temporary.write_text(json.dumps(self.status))
            temporary.replace(self.folder / "status.json")


@contextmanager
def live_table(folders: Sequence[Path], wanted: bool) -> Iterator[None]:
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


def _table(folders: Sequence[Path]) -> Table:
    """One line for each arm; fits a terminal of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    columns = ("arm", "stage", "labels", "steps", "coverage", "E", "F", "left")
    for column in columns:
        justify: JustifyMethod = "left" if column in ("arm", "stage") else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for folder in folders:
        try:
            status = json.loads((folder / "status.json").read_text())
        except (OSError, json.JSONDecodeError):
            continue
        done = f" {status['done']}/{status['total']}" if status.get("total") else ""
        table.add_row(
            status["arm"],
            f"{status.get('iteration', '')} {status['stage']}{done}".strip(),
            f"{status.get('labels', 0)}/{status.get('label_budget', 0)}",
            f"{status.get('md_steps', 0) / 1000:,.0f}k",
            _number(status.get("coverage"), "{:.3f}"),
            _number(status.get("energy_rmse"), "{:.1f}", 1e3),
            _number(status.get("forces_rmse"), "{:.1f}", 1e3),
            duration(status.get("seconds_left")),
        )
    table.caption = "E in meV/atom and F in meV/Å on the test set"
    return table


def _number(value: float | None, form: str, factor: float = 1.0) -> str:
    return "" if value is None else form.format(factor * value)


def duration(seconds: float | None) -> str:
    """``1 h 02 min``, ``3 min 20 s``, ``12 s``."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
