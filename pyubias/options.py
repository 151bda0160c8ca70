"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pyubias.errors import UserError

__all__ = ["Json", "Keys", "Output", "check_folder", "keys_of", "print_table"]


def check_folder(path: Path | None) -> Path | None:
    """An output that cannot be written is an error now, not after the work."""
    if path is not None and not path.absolute().parent.is_dir():
        raise UserError(f"cannot write '{path}': folder '{path.absolute().parent}' does not exist")
    return path


def Output(**settings: Any) -> Any:
    """The option ``--output``, or ``-o``."""
    return typer.Option("--output", "-o", callback=check_folder, **settings)


Json = Annotated[
    Path | None,
    typer.Option("--json", help="also write the numbers to this file", callback=check_folder),
]
Keys = Annotated[list[str] | None, typer.Option(help="name of a label, as energy=dft_energy")]


def keys_of(pairs: list[str] | None) -> dict[str, str]:
    """The names of labels that `Keys` gave."""
    keys = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not value:
            raise UserError(f"--key wants NAME=KEY such as energy=dft_energy, got '{pair}'")
        keys[name] = value
    return keys


def print_table(title: str, rows: list[list[str]]) -> None:
    """The first row is the header; a line may be longer than a terminal, but no word is cut."""
    shown = Table(title=title)
    for k, column in enumerate(rows[0]):
        shown.add_column(column, justify="right" if k else "left", no_wrap=not k)
    for row in rows[1:]:
        shown.add_row(*row)
    Console(width=max(200, Console().width)).print(shown)
