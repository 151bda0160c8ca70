"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from pyubias.errors import UserError

__all__ = ["Json", "Keys", "Output", "check_folder", "keys_of"]


def check_folder(path: Path | None) -> Path | None:
    """Refuse an output that cannot be written, before the work begins."""
    if path is not None and not path.absolute().parent.is_dir():
        raise UserError(f"cannot write '{path}': folder '{path.absolute().parent}' does not exist")
    return path


Output = Annotated[Path, typer.Option("--output", "-o", callback=check_folder)]
Json = Annotated[
    Path | None,
    typer.Option("--json", help="also write the numbers to this file", callback=check_folder),
]
Keys = Annotated[list[str] | None, typer.Option(help="name of a label, as energy=dft_energy")]


def keys_of(pairs: list[str] | None) -> dict[str, str]:
    """The names of labels in a file, from the values of `Keys`."""
    keys = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not value:
            raise UserError(f"--key wants NAME=KEY such as energy=dft_energy, got '{pair}'")
        keys[name] = value
    return keys
