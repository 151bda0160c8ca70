"""What the text of a LAMMPS script shows before it runs: its variables, and its dump."""

from pathlib import Path
from typing import Any

import pytest
from campaigns import WALKER, tiny

from pyubias.config.loading import load_campaign
from pyubias.config.yaml_settings import ConfigError

DUMP = "dump trajectory all custom ${every} ${trajectory} id element xu yu zu"


def check(folder: Path, text: str, exploration: dict[str, Any] | None = None) -> None:
    (folder / "walk.in").write_text(text)
    load_campaign(tiny(folder, {"exploration": {"input": "walk.in"} | (exploration or {})}))


def changed(old: str, new: str) -> str:
    text = WALKER.read_text()
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("temp", "does not occur"),  # a word of thermo_style
        ("run", "does not occur"),  # a command
        ("bath", "does not occur"),  # the ID of a fix
        ("xyz", "is defined but never used"),
        ("commented", "does not occur"),
        ("umax", "cannot be set, because walk.in defines `variable umax equal`"),
    ],
)
def test_a_variable_counts_where_the_script_uses_it(
    tmp_path: Path, name: str, problem: str
) -> None:
    text = WALKER.read_text() + "variable xyz index 3\n# ${commented}\n"
    with pytest.raises(ConfigError, match=f"exploration.variables.{name} {problem}") as error:
        check(tmp_path, text, {"variables": {name: 3}})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("use", ["${other}", "v_other", "$(2*v_other)", "$(v_other:%g)"])
def test_all_ways_to_use_a_variable_are_seen(tmp_path: Path, use: str) -> None:
    text = WALKER.read_text() + f'variable other index 1\nif "1 > 0" then "thermo {use}"\n'
    check(tmp_path, text, {"variables": {"other": 3}})
    check(tmp_path, WALKER.read_text() + "thermo $o\n", {"variables": {"o": 3}})


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("tau ${tau}", "tau 0.1", "exploration.tau = 0.25"),
        ("${model}", "model.pt", "what a walker gets as 'model'"),
        ("${structure}", "structure.data", "what a walker gets as 'structure'"),
    ],
)
def test_a_script_that_ignores_what_a_walker_gets_is_refused(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    text = changed(old, new).replace('"${tau} > 0.0"', '"1 > 0"')
    with pytest.raises(ConfigError, match=f"{problem} is defined but never used in walk.in"):
        check(tmp_path, text)
    if "tau" in problem:
        check(tmp_path, text, {"tau": 0.0})


@pytest.mark.parametrize("place", ["${here}/", "absolute"])
def test_included_scripts_belong_to_a_script(tmp_path: Path, place: str) -> None:
    (tmp_path / "rest.in").write_text(WALKER.read_text())
    folder = f"{tmp_path}/" if place == "absolute" else place
    text = f"variable here index .\ninclude {folder}rest.in\n"
    check(tmp_path, text, {"variables": {"temperature": 5.0}})
    with pytest.raises(ConfigError, match="temp does not occur"):
        check(tmp_path, text, {"variables": {"temp": 5.0}})
    (tmp_path / "rest.in").write_text(changed(DUMP, ""))
    with pytest.raises(ConfigError, match="it dumps no frame"):
        check(tmp_path, text)
    # a script that includes itself ends
    (tmp_path / "rest.in").write_text(text)
    check(tmp_path, text)


@pytest.mark.parametrize("rest", ["include ${where}/rest.in", "jump rest.in", "python f input 1"])
def test_a_script_that_goes_on_elsewhere_is_taken_as_it_is(tmp_path: Path, rest: str) -> None:
    check(tmp_path, f"{rest}\n", {"variables": {"temp": 5.0}})
    with pytest.raises(ConfigError, match="temp does not occur"):
        check(tmp_path, WALKER.read_text() + "jump SELF top\n", {"variables": {"temp": 5.0}})


@pytest.mark.parametrize(
    "dump",
    [
        "",
        DUMP.replace("${trajectory}", "frames.dump"),
        DUMP.replace("${trajectory}", "frames.dump") + "\nprint ${trajectory}",
    ],
)
def test_a_script_without_the_dump_that_is_read_is_refused(tmp_path: Path, dump: str) -> None:
    with pytest.raises(ConfigError, match=r"it dumps no frame to \$\{trajectory\}: write `dump ID"):
        check(tmp_path, changed(DUMP, dump))


def test_the_name_of_the_dump_may_be_passed_on(tmp_path: Path) -> None:
    passed = DUMP.replace("${trajectory}", "${file}")
    check(tmp_path, changed(DUMP, "variable file string ${trajectory}\n" + passed))
