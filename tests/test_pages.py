"""Links and paths in the pages lead to files that exist."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "inputs/**/*.md", "pyubias/*.md", "lammps_plugin/*.md", "tests/**/*.md")
    for page in ROOT.glob(pattern)
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_contributing_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:pyubias|tests|inputs|lammps_plugin)/[\w./]*)`", text)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_contributing_names_the_checks_of_ci() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    script = (ROOT / ".ci" / "run").read_text()
    checks = re.findall(r"^(?:ruff|mypy|clang-format).*$", script, flags=re.MULTILINE)
    assert len(checks) == 4
    assert [check for check in checks if f"\n{check}\n" not in text] == []


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    assert len(citation["references"]) == 2
