"""Files that appear under their names only when they are complete, and JSON."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["copy_file", "read_json", "write_json", "write_with"]


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under a temporary name of the same suffix, then rename it.

    The file appears under its own name only when it is complete, also if the process is killed.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    write(temporary)
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON; the file appears only when it is complete."""
    write_with(path, lambda p: p.write_text(json.dumps(value, indent=1) + "\n"))


def read_json(path: Path) -> Any:
    """The value in a JSON file."""
    return json.loads(path.read_text())


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; the copy appears only when it is complete."""
    write_with(target, lambda p: shutil.copyfile(source, p))
