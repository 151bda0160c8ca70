"""The table of error messages in lammps_plugin/README.md is that of the sources.

Messages that contain their remedy need no row.
"""

import re
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "lammps_plugin"
# and the least number of errors that must be found in each
SOURCES = {
    "pair_ubias.cpp": 3,
    "pair_ubias_setup.cpp": 9,
    "pair_ubias_guards.cpp": 2,
    "fix_ubias.cpp": 2,
    "fix_ubias_setup.cpp": 10,
    "ubias_model.cpp": 10,
    "model_file.cpp": 9,
    "open_model.cpp": 2,
}
LAMMPS_OWN = "Unrecognized pair style 'ubias'"
# one is put before the other where the program runs
PREFIXES = r"^(pair_style ubias|pair_coeff for ubias): "
# a message that has one of these says what is wanted
REMEDIES = (
    r"wanted |must (not )?be |has no value|needs 'newton on'|needs all pairs of bonded atoms: add"
    r"|use run_style verlet|one element per |name one element |it has \{\}|to no type|give 'tau'"
    r"|write it with|export the model again"
)
STRING = r'"(?:[^"\\\n]|\\.)*"'


def table() -> list[str]:
    """Messages of the first column, without headings."""
    section = (PLUGIN / "README.md").read_text().split("## Error messages")[1].split("\n---")[0]
    cells = re.findall(r"^\| (.*?) \| .+ \|$", section, flags=re.MULTILINE)
    return [
        m for cell in cells if not cell.startswith(("**", "message")) for m in cell.split(" ; ")
    ]


def fixed_parts(message: str) -> list[str]:
    """What stands between names and numbers (… or {}); a few letters alone say nothing."""
    bare = re.sub(PREFIXES, "", message)
    parts = [part.strip(" ';:,()/") for part in re.split(r"…|\{\}", bare)]
    return [part for part in parts if len(part) > 5]


def literals(source: str) -> list[str]:
    """String literals; adjacent literals are one."""
    groups = re.findall(rf"{STRING}(?:\s*{STRING})*", source)
    return ["".join(text[1:-1] for text in re.findall(STRING, group)) for group in groups]


def errors(source: str) -> list[list[str]]:
    """Literals of each statement that ends a run."""
    functions = r"(?:error->(?:all|one)|error_all_at|runtime_error|TORCH_CHECK|translate_errors)\("
    start = rf"{functions}|message = "
    statements = re.findall(rf"(?:{start})((?:{STRING}|[^;\"])*)[;{{]", source)
    found = [[text for text in literals(s) if fixed_parts(text)] for s in statements]
    return [texts for texts in found if texts]


@pytest.mark.parametrize("message", table())
def test_message_of_the_table_is_in_the_sources(message):
    known = [text for name in SOURCES for text in literals((PLUGIN / name).read_text())]
    missing = [part for part in fixed_parts(message) if not any(part in text for text in known)]
    assert not missing or message == LAMMPS_OWN


@pytest.mark.parametrize("source", SOURCES)
def test_every_error_of_the_sources_is_in_the_table_or_contains_its_remedy(source):
    known = [part for message in table() for part in fixed_parts(message)]
    found = errors((PLUGIN / source).read_text())
    assert sum(map(len, found)) >= SOURCES[source]
    for messages in found:
        if re.search(REMEDIES, "".join(messages)):
            continue
        for message in messages:
            longest = max(fixed_parts(message), key=len)
            assert any(part in longest or longest in part for part in known), message
