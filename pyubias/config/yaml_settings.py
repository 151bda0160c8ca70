"""YAML files of settings: reading one, and checking it against the schema."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pyubias.errors import UserError

__all__ = ["ConfigError", "Section", "absolute_paths", "merge", "read_yaml", "validate"]


class ConfigError(UserError):
    """A file of settings is wrong; the message names the key, the value and what is allowed."""


SectionType = TypeVar("SectionType", bound="Section")


class Section(BaseModel):
    """A part of a file of settings. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        ConfigError: no file, no YAML, or YAML that is no mapping.
    """
    if not path.is_file():
        raise ConfigError(f"file '{path}' does not exist")
    try:
        fields = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: wanted keys and values, got {type(fields).__name__}")
    return fields


def validate(model: type[SectionType], fields: dict[str, Any], where: str) -> SectionType:
    """Check fields against a section.

    Args:
        model: the section.
        fields: as they stand in the file.
        where: name of the file or section, for the message.

    Raises:
        ConfigError: one line about the first problem.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first_problem(model, error)}") from error


def absolute_paths(config: SectionType, folder: Path) -> SectionType:
    """A section with all its paths made absolute, relative to a folder.

    Raises:
        ConfigError: a file does not exist.
    """

    def resolve(value: Any, key: str) -> Any:
        if isinstance(value, Path):
            path = value if value.is_absolute() else folder / value
            if not path.is_file():
                raise ConfigError(f"'{key}': file '{path}' does not exist")
            return path
        if isinstance(value, dict):
            return {k: resolve(v, f"{key}.{k}" if key else k) for k, v in value.items()}
        return value

    return type(config).model_validate(resolve(config.model_dump(), ""))


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, which may change single keys of nested sections."""
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _first_problem(model: type[BaseModel], error: ValidationError) -> str:
    # a misspelt key comes first, because it is often the reason why another key is missing
    problem = min(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    names, sections = _walk(model, [str(part) for part in problem["loc"]])
    key = ".".join(names)
    if problem["type"] == "extra_forbidden":
        known = sorted({name for section in sections for name in section.model_fields})
        near = difflib.get_close_matches(names[-1], known, n=1, cutoff=0.4)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known keys: {', '.join(known)}"
        return f"unknown key '{key}'{hint}"
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    kinds = " or ".join(filter(None, map(_kind_of, sections)))
    if problem["type"] == "union_tag_not_found":
        return f"key '{key}.kind' is missing, wanted {kinds}"
    if problem["type"] == "union_tag_invalid":
        return f"'{key}.kind' must be {kinds}, got '{problem['ctx']['tag']}'"
    message = problem["msg"].removeprefix("Value error, ")
    return f"'{key}': {message[0].lower() + message[1:]}, got {problem.get('input')!r}"


def _walk(
    model: type[BaseModel], location: Sequence[str]
) -> tuple[list[str], list[type[BaseModel]]]:
    """The names that a user writes on the way to a location, and the sections it may be in.

    pydantic puts the `kind` of a member of a union into the location, which is no key.
    """
    names: list[str] = []
    sections: list[type[BaseModel]] = [model]
    for part in location:
        kinds = [s for s in sections if _kind_of(s) == part]
        if kinds:
            sections = kinds
            continue
        names.append(part)
        below = [s.model_fields[part].annotation for s in sections if part in s.model_fields]
        sections = [found for a in below for found in _sections_in(a)] or sections
    return names, sections


def _kind_of(section: type[BaseModel]) -> str | None:
    kind = section.model_fields.get("kind")
    arguments = getattr(kind.annotation, "__args__", ()) if kind else ()
    return arguments[0] if arguments else None


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [s for part in getattr(annotation, "__args__", ()) for s in _sections_in(part)]
