"""The settings of a run folder: which may change between two invocations, and what changed."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pyubias.errors import UserError
from pyubias.files import read_json

__all__ = [
    "NOT_MADE_AGAIN",
    "Change",
    "Settings",
    "changes_since",
    "differences",
    "flat",
    "read_settings",
]

NOT_MADE_AGAIN = (
    "without it nobody knows what the labels in this folder were made with; bring it back, or "
    "remove the run folder"
)

Settings = dict[str, Any]


class Change(NamedTuple):
    """One setting with another value than before.

    Attributes:
        key: such as ``exploration.tau``.
        before: None if there was no such key.
        now: None if there is none any more.
    """

    key: str
    before: Any
    now: Any

    @property
    def section(self) -> str:
        return self.key.split(".")[0]


def read_settings(path: Path) -> Settings:
    """The settings in the ``config.json`` of a run folder.

    Raises:
        UserError: the file is damaged.
    """
    settings = read_json(path, NOT_MADE_AGAIN)
    if not isinstance(settings, dict):
        raise UserError(
            f"'{path}' is damaged: got {type(settings).__name__}, wanted keys and values; "
            f"{NOT_MADE_AGAIN}"
        )
    return settings


def changes_since(
    path: Path,
    settings: Settings,
    changeable: Mapping[str, str],
    complete: Callable[[Settings], Settings] = dict,
    way_out: str = "another name, or remove the folder",
) -> list[str]:
    """Compare the settings of a resumed run with those that it was made with.

    Args:
        path: of ``config.json``; without it nothing changed.
        settings: as JSON has them.
        changeable: top-level keys that may change between invocations, with when that takes effect.
        complete: adds to the settings of the file what the version that wrote it did not have.
        way_out: what to give the run, as the end of the message about a setting that differs.

    Returns:
        a line for each setting that changed.

    Raises:
        UserError: a setting differs that may not change.
    """
    if not path.is_file():
        return []
    settings = json.loads(json.dumps(settings))
    before = complete(read_settings(path))
    known = flat(before)
    lines = []
    for change in differences(before, settings):
        if change.section in changeable:
            when = changeable[change.section]
            lines.append(f"{change.key} = {change.now!r} {when}, it was {change.before!r}")
        elif change.key not in known:
            raise UserError(
                f"{path.parent} was made without {change.key}, now it is {change.now!r}; give it "
                "another name, or finish it with the settings and the pyubias that it was made with"
            )
        else:
            raise UserError(
                f"{path.parent} was made with {change.key} = {change.before!r}, now it is "
                f"{change.now!r}; give it {way_out}"
            )
    return lines


def differences(before: Settings, now: Settings) -> list[Change]:
    """The settings that differ, in the order of their keys."""
    earlier, later = flat(before), flat(now)
    keys = sorted(set(earlier) | set(later))
    changes = [Change(key, earlier.get(key), later.get(key)) for key in keys]
    return [change for change in changes if change.before != change.now]


def flat(value: Any, prefix: str = "") -> Settings:
    """Nested sections as one dictionary with keys such as ``exploration.tau``."""
    if isinstance(value, dict):
        return {
            k: v for name, item in value.items() for k, v in flat(item, f"{prefix}{name}.").items()
        }
    return {prefix.rstrip("."): _without_null(value)}


def _without_null(value: Any) -> Any:
    """A list of sections without keys that are null, which another version may not have."""
    if not isinstance(value, list):
        return value
    sections = [item for item in value if isinstance(item, dict)]
    if len(sections) < len(value):
        return value
    return [{key: x for key, x in item.items() if x is not None} for item in sections]
