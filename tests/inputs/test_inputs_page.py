"""The page about the inputs has the values of their files."""

import functools
import re
from pathlib import Path
from typing import Any

import pytest

from pyubias.config import CampaignConfig, load_campaign

INPUTS = Path(__file__).parents[2] / "inputs"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (INPUTS / "README.md").read_text().splitlines()
    if re.match(r"\| (setting|`\w+\.\w+`) \|", line)
]
FILES = re.findall(r"\]\((\S+?\.yaml)\)", " ".join(ROWS[0]))
VALUES = [
    (file, row[0].strip("`"), value)
    for row in ROWS[1:]
    for file, value in zip(FILES, row[1:], strict=True)
]


@functools.cache
def campaign(file: str) -> CampaignConfig:
    return load_campaign(INPUTS / file)


def test_the_table_has_files_and_settings() -> None:
    assert len(FILES) == 4
    assert len(VALUES) > 40


@pytest.mark.parametrize(("file", "setting", "value"), VALUES)
def test_a_value_in_the_table_is_that_of_the_file(file: str, setting: str, value: str) -> None:
    found: Any = campaign(file)
    for key in setting.split("."):
        found = getattr(found, key)
    assert value == str(found)
