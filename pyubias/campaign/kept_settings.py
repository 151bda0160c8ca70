"""The settings that a run folder was made with, which a resumed run must not change."""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pyubias.errors import UserError
from pyubias.files import read_json, write_json

__all__ = ["keep_settings"]

Settings = dict[str, Any]


def keep_settings(
    path: Path,
    settings: Settings,
    changeable: Collection[str],
    complete: Callable[[Settings], Settings] = dict,
) -> None:
    """Write the settings of a new run; compare those of a resumed one with the file.

    Args:
        path: of ``config.json``.
        settings: as JSON has them.
        changeable: top-level keys that may change between invocations.
        complete: adds to the settings of the file what the version that wrote it did not have.

    Raises:
        UserError: a setting differs from the one that the folder was made with.
    """
    settings = json.loads(json.dumps(settings))
    if not path.is_file():
        write_json(path, settings)
        return
    before, now = _flat(complete(read_json(path))), _flat(settings)
    for key in sorted(set(before) | set(now)):
        if key.split(".")[0] in changeable or before.get(key) == now.get(key):
            continue
        if key not in before:
            raise UserError(
                f"{path.parent} was made without {key}, now it is {now[key]!r}; give the campaign "
                "another name, or finish it with the settings and the pyubias that it was made with"
            )
        raise UserError(
            f"{path.parent} was made with {key} = {before.get(key)!r}, now it is "
            f"{now.get(key)!r}; give the campaign another name, or remove the folder"
        )
    write_json(path, settings)


def _flat(value: Any, prefix: str = "") -> Settings:
    """Nested sections as one dictionary with keys such as ``exploration.tau``."""
    if isinstance(value, dict):
        return {
            k: v for name, item in value.items() for k, v in _flat(item, f"{prefix}{name}.").items()
        }
    return {prefix.rstrip("."): value}
