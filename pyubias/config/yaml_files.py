"""Reading YAML files: what YAML would take without a word is refused."""

import re
from pathlib import Path
from typing import Any

import yaml

from pyubias.config.yaml_settings import ConfigError

__all__ = ["read_yaml"]

LARGEST_FILE = 10**7  # bytes
MOST_VALUES = 10**5
# octal 010, binary 0b1, sexagesimal 1:30, digits 1_000; YAML 1.2 no longer reads them as numbers
MISREAD = re.compile(r"[-+]?0[0-7]|[-+]?0b|.*[_:]")


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        ConfigError: no file, no YAML, YAML that is no mapping, a key that is given twice, or more
            than a file of settings can hold.
    """
    if not path.is_file():
        raise ConfigError(f"file '{path}' does not exist")
    if path.stat().st_size > LARGEST_FILE:
        raise ConfigError(f"{path} is no file of settings: it has {path.stat().st_size} bytes")
    try:
        fields = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply") from error
    except Exception as error:  # PyYAML's constructors raise whatever a malformed value causes
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: wanted keys and values, got {type(fields).__name__}")
    _check_size(fields, path)
    return fields


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which would keep the last of several values of a key."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        kind = node.tag.rpartition(":")[2]
        number = kind in ("int", "float") and MISREAD.match(str(node.value))
        if number or kind == "timestamp":
            as_what = "a date" if kind == "timestamp" else super().construct_object(node, deep)
            raise ConfigError(
                f"line {node.start_mark.line + 1}: YAML reads {node.value} as {as_what}: write a "
                "decimal number, or put quotes around text"
            )
        return super().construct_object(node, deep)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            # what `<<` merges may be given again
            if not isinstance(key_node, yaml.ScalarNode) or key_node.value == "<<":
                continue
            line = key_node.start_mark.line + 1
            if key_node.value in lines:
                raise ConfigError(
                    f"key '{key_node.value}' is given twice, in lines {lines[key_node.value]} and "
                    f"{line}"
                )
            lines[key_node.value] = line
        return super().construct_mapping(node, deep)


# YAML 1.1 takes 1e5 and 1.0e5, which have no sign, for text
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def _check_size(fields: dict[str, Any], path: Path) -> None:
    """Refuse what aliases multiply beyond any use, or make part of itself."""
    waiting: list[Any] = [fields]
    n = 0
    while waiting:
        value = waiting.pop()
        n += 1
        if n > MOST_VALUES:
            raise ConfigError(f"{path} holds more than {MOST_VALUES} values")
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set):
            waiting += value
