"""Values that would stop a run later are refused, and the message has the key."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from campaigns import tiny

from pyubias.config.loading import load_campaign
from pyubias.config.yaml_settings import ConfigError

PHI = {"name": "phi", "dihedral": [5, 7, 9, 15]}
ANGLE = {"name": "a", "angle": [1, 2, 3]}
DIFFERENCE = {"name": "x", "difference": [[1, 2], [3, 4]]}
COUNT = {
    "name": "n",
    "coordination": {"atoms": [1], "neighbors": "H", "r0": 1.2},
    "range": [0, 4],
}
OWN = {"name": "own", "function": "f", "file": "gone.py", "range": [0, 1]}
FILE = str(Path(__file__))


def pair(first: Any, second: Any) -> dict[str, Any]:
    return DIFFERENCE | {"difference": [[1, 2], [first, second]], "range": [-1, 1]}


def count(**changes: Any) -> dict[str, Any]:
    return COUNT | {"coordination": COUNT["coordination"] | changes}


WRONG = [
    # not finite, or beyond reason
    ("finish.factor", float("inf"), "finite number"),
    ("training.energy_weight", float("nan"), "finite number"),
    ("training.epochs", 10**12, "less than or equal to 1000000"),
    ("training.weights_rate", 1e3, "less than or equal to 10"),
    ("model.hidden", [10**7], "less than or equal to 4096"),
    ("model.cutoff", 1e3, "less than or equal to 20"),
    ("exploration.steps", 10**10, "less than or equal to 1000000000"),
    ("exploration.guard.distance", 6.0, "less than or equal to 5"),
    ("reference.timeout", 1e9, "less than or equal to 2e\\+06|2000000"),
    ("seed", -1, "greater than or equal to 0"),
    ("seed", 2**31, "less than or equal to 2147483647"),
    # booleans and text for numbers
    ("seed", True, "wanted no true or false"),
    ("exploration.tau", False, "wanted no true or false"),
    ("model.hidden", [True, 16], "wanted no true or false"),
    ("elements", ["C", False], "wanted no true or false"),
    ("stop.labels", "18", "wanted a number, not text, got '18'"),
    ("model.hidden", ["16"], "wanted a number, not text"),
    ("start.perturb", "0.1", "wanted a number, not text"),
    # elements
    ("elements", ["C", "H", "N", "O", "Xx"], "'Xx' is no chemical symbol"),
    ("elements", ["C", "H", "N", "O", "C"], "'C' is listed twice"),
    ("elements", [], "at least 1 item"),
    # names
    ("name", "..", "a name of dots is another folder"),
    ("name", "", "pattern"),
    ("name", "/tmp/x", "pattern"),
    ("name", "../x", "pattern"),
    ("name", "a\0b", "pattern"),
    ("name", "a\n", "pattern"),
    ("name", "a" * 300, "at most 100 characters"),
    # variables of scripts
    ("exploration.variables", {"threshold": [20.0, "abc"]}, "threshold is 'abc'"),
    ("exploration.variables", {"threshold": []}, "a list must hold one value or more"),
    ("exploration.variables", {"temperature": float("inf")}, "a number must lie within"),
    ("exploration.variables", {"temperature": True}, "write 'yes' in quotes"),
    ("exploration.variables", {"temperature": None}, "wanted a number or text"),
    ("exploration.variables", {"temperature": "300\nquit"}, "one line of 1 to 1000 characters"),
    ("exploration.variables", {"seed": 3}, "each walker gets a value of 'seed' of its own"),
    ("exploration.variables", {"a b": 3}, "letters, digits and underscores only"),
    ("exploration.variables", {"run": 3}, "run does not occur in walker.in"),
    ("exploration.tau", 1e3, "less than or equal to 100"),
    ("elements", ["a\nb"], "no chemical symbol"),
    ("start.structures", "a\nb", "does not exist"),
    ("exploration.every", 21, "writes no frame but its first"),
    ("reference.variables", {"dtaa": "x"}, r"reference\.variables\.dtaa does not occur"),
    # collective variables
    ("evaluation.collective_variables", [PHI, PHI], "two of them have the name 'phi'"),
    ("evaluation.collective_variables", [PHI | {"dihedral": [5, 5, 9, 15]}], "must differ"),
    ("evaluation.collective_variables", [PHI | {"dihedral": [0, 7, 9, 15]}], "greater than 0"),
    ("evaluation.collective_variables", [PHI | {"range": [5, 1]}], "low < high"),
    ("evaluation.collective_variables", [PHI | {"range": [-720, 0]}], r"within \[-180, 180\]"),
    ("evaluation.collective_variables", [PHI | {"name": "$x_{$"}], r"without \$"),
    ("evaluation.collective_variables", [{"name": "a", "angle": [1, 2]}], "at least 3 items"),
    ("evaluation.collective_variables", [ANGLE | {"range": [-10, 90]}], r"within \[0, 180\]"),
    ("evaluation.collective_variables", [ANGLE | {"angle": [1, 2, 1]}], "atoms must differ"),
    ("evaluation.collective_variables", [ANGLE | {"file": FILE}], "give function"),
    ("evaluation.collective_variables", [DIFFERENCE], "give its range"),
    ("evaluation.collective_variables", [pair(3, True)], "valid integer"),
    ("evaluation.collective_variables", [pair(3, "4")], "valid integer"),
    ("evaluation.collective_variables", [pair(4, 4)], "atoms must differ"),
    ("evaluation.collective_variables", [COUNT | {"range": [-2, 0]}], "no coordination lies"),
    ("evaluation.collective_variables", [count(n=12)], "n must be less than m"),
    ("evaluation.collective_variables", [count(r0=0.0)], "greater than 0"),
    ("evaluation.collective_variables", [count(atoms="Xx")], "or a chemical symbol, got 'Xx'"),
    ("evaluation.collective_variables", [count(neighbors=[])], "wanted a list of atoms, .* got"),
    ("evaluation.collective_variables", [count(atoms=[1, 1])], "atoms must differ"),
    ("evaluation.collective_variables", [count(atoms=[0])], "greater than 0"),
    ("evaluation.collective_variables", [OWN], "file '.*gone.py' does not exist"),
    ("evaluation", {"test": None}, "give evaluation.test"),
    ("control", {"exploration": {}}, "control changes nothing"),
    ("control", {"name": "other"}, "both arms are in the folder"),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_a_value_that_would_stop_a_run_is_refused(
    tmp_path: Path, key: str, value: Any, message: str
) -> None:
    path = tiny(tmp_path, {"stop": {"forces_rmse": 0.1}})
    fields = yaml.safe_load(path.read_text())
    inner = fields
    *sections, last = key.split(".")
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[last] = value
    path.write_text(yaml.safe_dump(fields))
    with pytest.raises(ConfigError, match=message) as error:
        load_campaign(path)
    assert "\n" not in str(error.value)
    assert sections[0] in str(error.value) if sections else last in str(error.value)


def test_a_reference_that_quits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "label.in").write_text("units metal\nrun 0\nquit\n")
    path = tiny(tmp_path, {"reference": {"input": "label.in"}})
    with pytest.raises(ConfigError, match=r"reference\.input '.*': the command quit ends"):
        load_campaign(path)


def test_metadynamics_needs_a_script_with_its_fix(tmp_path: Path) -> None:
    gaussians = {"height": 0.1, "width": 40.0, "stride": 10}
    path = tiny(tmp_path, {"exploration": {"metadynamics": gaussians, "tau": 0.0}})
    with pytest.raises(ConfigError, match=r"exploration\.input .*: metadynamics needs `fix meta"):
        load_campaign(path)


SCRIPTS = [
    ("dump trajectory all custom", "dump trajectory all xyz", "has the style 'xyz'"),
    ("${trajectory}", "${trajectory}.gz", r"has another file, \$\{trajectory\}\.gz"),
    ("dump trajectory all", "dump trajectory solute", "group 'solute' lacks atoms"),
    ("id element xu yu zu\n", "id type xu yu zu\n", "has no column 'element'"),
    ("dump trajectory", "# dump trajectory", r"it dumps no frame to \$\{trajectory\}"),
    ("\nrun ", "\n# run ", "it has no run command"),
    ("\nrun ", "\n  quit 0\nrun ", "quit ends the whole program"),
]


@pytest.mark.parametrize(("old", "new", "message"), SCRIPTS)
def test_a_script_whose_frames_cannot_be_used_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tiny(tmp_path)
    fields = yaml.safe_load(path.read_text())
    script = Path(fields["exploration"]["input"]).read_text()
    assert old in script
    (tmp_path / "walk.in").write_text(script.replace(old, new))
    fields["exploration"]["input"] = "walk.in"
    path.write_text(yaml.safe_dump(fields))
    with pytest.raises(ConfigError, match=rf"exploration\.input '.*walk\.in': .*{message}"):
        load_campaign(path)
