"""A page in Markdown about the keys of a file of settings, from their schema."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

__all__ = ["settings_page"]

Schema = dict[str, Any]

CHANGES = "May change between two commands, with effect"
TYPES = {"string": "text", "boolean": "true or false", "object": "mapping"}
BOUNDS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}


def settings_page(settings: type[BaseModel], title: str, command: str) -> str:
    """All keys of a file of settings: a table for each section, with links between sections.

    Args:
        settings: what the file holds, such as `CampaignConfig`.
        title: of the page.
        command: that prints the page.

    Returns:
        Markdown. Each key has its type with limits, its default, and its description.
    """
    schema = settings.model_json_schema()
    definitions = schema.get("$defs", {})
    lines = [
        f"# {title}",
        "",
        schema.get("description", ""),
        "",
        "A key without a default is required. Paths are relative to the file. "
        f"`{command}` prints this page.",
        "",
        *_table(schema, "", definitions),
    ]
    for heading, section in _sections(schema, "", definitions):
        level = "#" * (2 + heading.count("."))
        lines += ["", f"{level} {heading}", "", section.get("description", ""), ""]
        lines += _table(section, heading, definitions)
    return "\n".join(lines) + "\n"


def _table(section: Schema, heading: str, definitions: Schema) -> list[str]:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    seen: list[tuple[str, Schema]] = []
    for key, field in section["properties"].items():
        below = _below(_join(heading, key), field, definitions)
        below = [next((pair for pair in seen if pair[1] == each[1]), each) for each in below]
        seen += below
        name, kind = f"`{key}`", _type(field)
        if len(below) == 1:
            name = f"[`{key}`](#{_anchor(below[0][0])})"
        elif below:
            kind = " or ".join(f"[`{_kind(s)}`](#{_anchor(h)})" for h, s in below)
        paragraphs = [field["description"]] if "description" in field else []
        paragraphs += [s.get("description", "").split("\n\n")[0] for _, s in below]
        meaning = paragraphs[0] if paragraphs else ""
        if "changes" in field:
            meaning = f"{meaning.rstrip('.')}. {CHANGES} {field['changes']}."
        cells = [name, kind, _default(field), meaning]
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return lines


def _sections(section: Schema, heading: str, definitions: Schema) -> Iterator[tuple[str, Schema]]:
    """The sections below a section with their headings, each before those below it.

    Sections that several keys may hold stand under the first of these.
    """
    seen: list[Schema] = []
    for key, field in section["properties"].items():
        for name, below in _below(_join(heading, key), field, definitions):
            if below not in seen:
                yield name, below
                yield from _sections(below, name, definitions)
            seen.append(below)


def _below(heading: str, field: Schema, definitions: Schema) -> list[tuple[str, Schema]]:
    """The sections that a key may hold, with their headings."""
    found = [definitions[name] for name in _references(field)]
    if len(found) == 1:
        return [(heading, found[0])]
    return [(f"{heading} of kind {_kind(section)}", section) for section in found]


def _references(field: Schema) -> list[str]:
    """Names of the definitions that a field refers to."""
    if "$ref" in field:
        return [field["$ref"].rpartition("/")[2]]
    parts = [*field.get("oneOf", []), *field.get("anyOf", [])]
    parts += [field["items"]] if "items" in field else []
    return [name for part in parts for name in _references(part)]


def _type(field: Schema) -> str:
    if _references(field) and "anyOf" not in field:
        return "list of sections" if "items" in field else "section"
    if "anyOf" in field:
        kinds = [_type(part) for part in field["anyOf"]]
        # every integer is a number
        return " or ".join(k for k in kinds if k != "integer" or "number" not in kinds)
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        n, items = field.get("minItems"), field.get("items") or field["prefixItems"][0]
        of_length = f" of {n}" if n is not None and n == field.get("maxItems") else ""
        return f"list{of_length} ({_type(items)})"
    if isinstance(field.get("additionalProperties"), dict):
        return f"mapping to ({_type(field['additionalProperties'])})"
    if field.get("format") == "path":
        return "path"
    limits = [f"{sign} {field[bound]:.10g}" for bound, sign in BOUNDS.items() if bound in field]
    limits += [f"multiple of {field['multipleOf']}"] if "multipleOf" in field else []
    kind = TYPES.get(field["type"], str(field["type"]))
    return f"{kind} {', '.join(limits)}" if limits else kind


def _default(field: Schema) -> str:
    """The default as YAML, empty if there is none."""
    if "default" not in field:
        return ""
    if "$ref" in field:
        return "its defaults"
    style = {"default_flow_style": True, "allow_unicode": True, "sort_keys": False, "width": 1000}
    text = yaml.safe_dump(field["default"], **style)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _kind(section: Schema) -> str:
    kind = section["properties"]["kind"]
    return ", ".join(kind["enum"]) if "enum" in kind else str(kind["const"])


def _join(heading: str, key: str) -> str:
    return f"{heading}.{key}" if heading else key


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", r"\|")


def _anchor(heading: str) -> str:
    """The anchor of a heading on GitHub."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
