"""The page about the keys of a campaign file is its schema, key by key."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from pyubias.cli.app import app
from pyubias.config import CampaignConfig
from pyubias.config.markdown import CHANGES, settings_page

PAGE = Path(__file__).parents[2] / "inputs" / "settings.md"


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in sections_in(part)]


def leaves(section: type[BaseModel], path: str = "") -> Iterator[tuple[str, str, str]]:
    """(heading of the section, key, description) of every key that holds no section.

    Sections that several keys may hold stand under the first of these.
    """
    seen = []
    for key, field in section.model_fields.items():
        below = sections_in(field.annotation)
        inner = f"{path}.{key}" if path else key
        for found in below:
            if found in seen:
                continue
            seen.append(found)
            kinds = get_args(found.model_fields["kind"].annotation) if len(below) > 1 else ()
            kind = ", ".join(kinds)
            yield from leaves(found, f"{inner} of kind {kind}" if kind else inner)
        if not below:
            yield path, key, field.description or ""


LEAVES = list(leaves(CampaignConfig))


def table(page: str, heading: str) -> str:
    """The part of the page from a heading to the next one."""
    _, _, rest = page.partition(f"# {heading}\n" if heading else "\n")
    return rest.partition("\n#")[0]


def row(page: str, heading: str, key: str) -> list[str]:
    """The cells behind a key: its type, default and meaning."""
    lines = [line for line in table(page, heading).splitlines() if line.startswith(f"| `{key}`")]
    lines = lines or [line for line in page.splitlines() if f"| [`{key}`](" in line]
    assert len(lines) == 1, f"the page has no key {key} under '{heading}'"
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", lines[0])[2:5]]


def test_the_page_of_the_repository_is_what_the_command_prints() -> None:
    result = CliRunner().invoke(app, ["schema", "--markdown"])
    assert result.exit_code == 0
    assert PAGE.read_text() == result.stdout, "run: pyubias schema --markdown > inputs/settings.md"


def test_the_schema_has_leaves_in_every_section() -> None:
    assert {"", "start", "exploration.guard", "reference of kind ase"} < {x for x, _, _ in LEAVES}
    assert len(LEAVES) > 60


@pytest.mark.parametrize(("heading", "key", "description"), LEAVES, ids=lambda value: value)
def test_every_key_is_in_the_table_of_its_section(heading: str, key: str, description: str) -> None:
    assert description, f"{heading}.{key} has no description in pyubias/config"
    meaning = row(PAGE.read_text(), heading, key)[2]
    assert meaning.split(f". {CHANGES}")[0] == description.replace("|", r"\|")


def test_the_page_says_which_sections_may_change_and_when() -> None:
    for key in CampaignConfig.model_fields:
        meaning = row(PAGE.read_text(), "", key)[2]
        when = CampaignConfig.changeable().get(key)
        assert meaning.endswith(f"{CHANGES} {when}.") == (when is not None)
        assert (CHANGES in meaning) == (when is not None)


def test_every_link_leads_to_a_heading() -> None:
    page = PAGE.read_text()
    headings = re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)
    anchors = {re.sub(r"[.(),]", "", h.lower()).replace(" ", "-") for h in headings}
    links = re.findall(r"\(#(.*?)\)", page)
    assert len(links) > 10
    assert set(links) <= anchors


class Inner(BaseModel):
    """What is inside.

    More about it.
    """

    share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(0.5, description="of |x|, Å")


class Other(BaseModel):
    kind: Literal["other"] = Field(description="one kind")


class Another(BaseModel):
    kind: Literal["another"] = Field(description="another kind")
    path: Path = Field(description="of a file")


class Settings(BaseModel):
    """A file."""

    count: int = Field(ge=2, multiple_of=2, description="how many")
    names: list[str] | None = Field(None, description="what they are called")
    pair: tuple[float, float] = Field((0.0, 1.0), description="two numbers")
    choice: Literal["a", "b"] = Field("a", description="one or the other")
    values: dict[str, int | float | str] = Field({"x": 1.5}, description="numbers by name")
    inner: Inner = Inner()
    maybe: Inner | None = None
    several: list[Inner] = Field([], description="some of them")
    either: Annotated[Other | Another, Field(discriminator="kind")]


def test_types_limits_and_defaults_are_words() -> None:
    page = settings_page(Settings, "Title", "command")
    assert page.startswith("# Title\n\nA file.\n\n")
    assert "`command` prints this page" in page
    assert row(page, "", "count") == ["integer ≥ 2, multiple of 2", "", "how many"]
    assert row(page, "", "names") == ["list (text) or null", "`null`", "what they are called"]
    assert row(page, "", "pair") == ["list of 2 (number)", "`[0.0, 1.0]`", "two numbers"]
    assert row(page, "", "choice") == ["`a` or `b`", "`a`", "one or the other"]
    assert row(page, "", "values")[:2] == ["mapping to (number or text)", "`{x: 1.5}`"]
    assert row(page, "", "inner") == ["section", "its defaults", "What is inside."]
    assert row(page, "", "maybe")[:2] == ["section or null", "`null`"]
    assert row(page, "", "several")[:2] == ["list of sections", "`[]`"]
    assert row(page, "inner", "share") == ["number > 0, ≤ 1", "`0.5`", r"of \|x\|, Å"]
    kinds = "[`other`](#either-of-kind-other) or [`another`](#either-of-kind-another)"
    assert row(page, "", "either")[0] == kinds
    assert row(page, "either of kind another", "path") == ["path", "", "of a file"]
    assert "What is inside.\n\nMore about it." in table(page, "inner")


def test_a_changed_description_changes_the_page() -> None:
    class Changed(Settings):
        """A file."""

        count: int = Field(ge=2, multiple_of=2, description="how many more")

    before = settings_page(Settings, "Title", "command")
    after = settings_page(Changed, "Title", "command")
    assert after == before.replace("| how many |", "| how many more |")
    assert after != before
