"""Sections of settings: checking fields against them, with one line about what is wrong."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, LiteralString, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from pyubias.errors import UserError

__all__ = ["ConfigError", "Section", "absolute_paths", "merge", "validate"]


class ConfigError(UserError):
    """A file of settings is wrong; the message names the key, the value and what is allowed."""


SectionType = TypeVar("SectionType", bound="Section")


class Section(BaseModel):
    """A part of a file of settings.

    Unknown keys are errors, and so are nan, inf, and text or booleans in place of numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _have_the_right_kind(cls, fields: Any) -> Any:
        # pydantic would take true for 1, and '3' for 3
        for name, value in fields.items() if isinstance(fields, dict) else ():
            field = cls.model_fields.get(name)
            for item in value if isinstance(value, list) else [value]:
                problem = field and _problem_of_kind(item, field.annotation)
                if problem:
                    context = {"field": name, "value": value}
                    raise PydanticCustomError(WRONG_KIND, problem, context)
        return fields


WRONG_KIND = "wrong_kind"


def _problem_of_kind(value: Any, annotation: Any) -> LiteralString:
    if isinstance(value, bool) and not _takes(annotation, bool):
        return (
            "wanted no true or false (YAML also reads yes, no, on and off as such: put quotes "
            "around text)"
        )
    wants_number = _takes(annotation, int) or _takes(annotation, float)
    if isinstance(value, str) and wants_number and not _takes(annotation, str):
        return "wanted a number, not text"
    return ""


def _takes(annotation: Any, kind: type) -> bool:
    parts = getattr(annotation, "__args__", ())
    return annotation in (kind, Any) or any(_takes(part, kind) for part in parts)


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

    def resolve(value: Any, key: str, in_list: bool = False) -> Any:
        if isinstance(value, Path):
            path = value if value.is_absolute() else folder / value
            # lists of sources may hold run folders
            if not (_is_file(path) or (in_list and path.is_dir())):
                raise ConfigError(f"'{key}': file {str(path)[:300]!r} does not exist")
            return path
        if isinstance(value, dict):
            return {k: resolve(v, f"{key}.{k}" if key else k) for k, v in value.items()}
        if isinstance(value, list):
            return [resolve(item, key, in_list=True) for item in value]
        return value

    return type(config).model_validate(resolve(config.model_dump(exclude_unset=True), ""))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, which may change single keys of nested sections.

    A section of another `kind` has other keys, and replaces the section as a whole.
    """
    merged = dict(base)
    for key, value in changes.items():
        before = merged.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            same_kind = value.get("kind") in (None, before.get("kind"))
            merged[key] = merge(before, value) if same_kind else value
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
    kinds = " or ".join(kind for section in sections for kind in _kinds_of(section))
    if problem["type"] == "union_tag_not_found":
        return f"key '{key}.kind' is missing, wanted {kinds}"
    if problem["type"] == "union_tag_invalid":
        return f"'{key}.kind' must be {kinds}, got '{problem['ctx']['tag']}'"
    message = problem["msg"].removeprefix("Value error, ")
    found = problem.get("input")
    if problem["type"] == WRONG_KIND:  # found before the fields are looked at one by one
        key = ".".join([*names, problem["ctx"]["field"]])
        found = problem["ctx"]["value"]
    # a section as a whole is no answer to the question what was found
    got = "" if isinstance(found, dict | BaseModel) else f", got {_short(found)}"
    where = f"'{key}': " if key else ""
    return f"{where}{message[0].lower() + message[1:]}{got}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _walk(
    model: type[BaseModel], location: Sequence[str]
) -> tuple[list[str], list[type[BaseModel]]]:
    """The names that a user writes on the way to a location, and the sections it may be in.

    pydantic puts the `kind` of a member of a union into the location, which is no key.
    """
    names: list[str] = []
    sections: list[type[BaseModel]] = [model]
    for part in location:
        if part == "[key]":  # pydantic's for the key of a mapping itself
            continue
        kinds = [s for s in sections if part in _kinds_of(s)]
        if kinds:
            sections = kinds
            continue
        names.append(part)
        below = [s.model_fields[part].annotation for s in sections if part in s.model_fields]
        sections = [found for a in below for found in _sections_in(a)] or sections
    return names, sections


def _kinds_of(section: type[BaseModel]) -> tuple[str, ...]:
    kind = section.model_fields.get("kind")
    return getattr(kind.annotation, "__args__", ()) if kind else ()


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [s for part in getattr(annotation, "__args__", ()) for s in _sections_in(part)]
