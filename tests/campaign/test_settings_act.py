"""Every setting of a campaign file acts: each has a test that shows the difference it makes.

Such a test has the marker ``law`` with the names of its settings. `pytest -m law` runs them all.
"""

import ast
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pyubias.config.schema import CampaignConfig

TESTS = Path(__file__).parents[1]


def settings_of(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Names such as ``exploration.guard.distance``; a reference has its kind before its keys.

    Where keys of one section hold the same sections, those have all their keys in the first only.
    """
    seen = set()
    for name, field in section.model_fields.items():
        below = list(sections_in(field.annotation))
        if not below:
            yield f"{prefix}{name}"
        for each in below:
            kind = f"{kind_of(each)}." if len(below) > 1 else ""
            if each in seen:
                yield f"{prefix}{name}.{kind}kind"
            else:
                yield from settings_of(each, f"{prefix}{name}.{kind}")
        seen.update(below)


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a key may hold: itself, one of several, or those of a list."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for part in typing.get_args(annotation):
        yield from sections_in(part)


def kind_of(section: type[BaseModel]) -> str:
    return str(typing.get_args(section.model_fields["kind"].annotation)[0])


def laws(path: Path) -> Iterator[str]:
    """Settings that the markers of the tests in a file name."""
    text = path.read_text()
    for node in ast.walk(ast.parse(text)) if "law(" in text else ():
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith("law"):
                    yield from (ast.literal_eval(argument) for argument in mark.args)


SETTINGS = set(settings_of(CampaignConfig))
LAWS = {name for path in TESTS.rglob("test_*.py") for name in laws(path)}


@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_a_setting_has_a_law(setting: str) -> None:
    assert setting in LAWS, f"write a test with @pytest.mark.law({setting!r}) that fails without it"


def test_laws_are_about_settings_that_exist() -> None:
    assert LAWS <= SETTINGS


def test_settings_are_found_in_sections_lists_and_either_reference() -> None:
    for known in (
        "seed",
        "exploration.guard.distance",
        "exploration.metadynamics.height",
        "evaluation.collective_variables.range",
        "reference.lammps.variables",
        "reference.ase.calculator",
    ):
        assert known in SETTINGS
    assert "exploration.guard" not in SETTINGS
