"""What goes to the terminal: tables and durations."""

from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ["duration", "print_narrow_table", "print_table"]


def print_table(title: str, rows: list[list[str]]) -> None:
    """Print a table whose first row is the header. It may be wider than the terminal."""
    shown = Table(title=title)
    for k, column in enumerate(rows[0]):
        shown.add_column(column, justify="right" if k else "left", no_wrap=not k)
    for row in rows[1:]:
        shown.add_row(*row)
    Console(width=max(200, Console().width)).print(shown)


def print_narrow_table(title: str, rows: list[list[str]]) -> None:
    """Print a table whose cells are broken where it would be wider than the terminal."""
    shown = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for k, column in enumerate(rows[0]):
        shown.add_column(column, justify="right" if k else "left")
    for row in rows[1:]:
        shown.add_row(*row)
    Console().print(shown)


def duration(seconds: float | None) -> str:
    """A time as ``1 h 02 min``, ``3 min 20 s`` or ``12 s``; empty for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
