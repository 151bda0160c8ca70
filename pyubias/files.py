"""Files that appear under their names only when they are complete, and JSON."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyubias.errors import UserError

__all__ = ["copy_file", "read_json", "write_json", "write_with"]


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under a temporary name of the same suffix, then rename it.

    The file appears under its own name only when it is complete, also if the process is killed.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
    except Exception as error:
        temporary.unlink(missing_ok=True)
        # torch reports a full disk as an error of its own
        if isinstance(error, RuntimeError) and "PytorchStreamWriter" in str(error):
            raise OSError(errno.EIO, "cannot be written completely", str(path)) from error
        raise
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON; the file appears only when it is complete."""
    write_with(path, lambda p: p.write_text(json.dumps(value, indent=1) + "\n"))


def read_json(path: Path, way_out: str = "remove it, and the same command makes it again") -> Any:
    """The value in a JSON file.

    Args:
        path: the file.
        way_out: what to do about a damaged file.

    Raises:
        UserError: the file holds no complete JSON.
    """
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"'{path}' is damaged: {error}; {way_out}") from error


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; the copy appears only when it is complete."""
    write_with(target, lambda p: shutil.copyfile(source, p))
