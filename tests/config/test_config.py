"""What a campaign file may say, and the one line that follows when it says something else."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from campaigns import ALA2, tiny
from typer.testing import CliRunner

from pyubias.cli.app import app
from pyubias.config.exploration import ExplorationConfig
from pyubias.config.loading import control_arm, load_campaign, load_reference, load_training
from pyubias.config.potential import ModelConfig, TrainingConfig, UncertaintyConfig
from pyubias.config.schema import AseReference, CampaignConfig, LammpsReference
from pyubias.config.yaml_settings import ConfigError
from pyubias.lammps.walker import script_variables

QUICKSTART = ALA2 / "quickstart.yaml"
PHI = {"name": "phi", "dihedral": [5, 7, 9, 15]}


def write(folder: Path, fields: dict[str, Any]) -> Path:
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump(fields))
    return path


def changed(*keys: str, value: Any) -> dict[str, Any]:
    """The quickstart with one more or one other key, and with absolute paths."""
    fields: dict[str, Any] = yaml.safe_load(QUICKSTART.read_text())
    for section, key in (
        ("start", "structures"),
        ("reference", "input"),
        ("exploration", "input"),
        ("evaluation", "test"),
    ):
        fields[section][key] = str(ALA2 / fields[section][key])
    inner = fields
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    inner[keys[-1]] = value
    return fields


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (changed("elments", value=["C"]), r"unknown key 'elments'; did you mean 'elements'\?"),
        (changed("start", "cuont", value=3), r"unknown key 'start\.cuont'; did you mean 'count'\?"),
        (
            changed("reference", "inptu", value="x"),
            r"unknown key 'reference\.inptu'; did you mean 'input'\?",
        ),
        (
            changed("reference", value={"kind": "ase", "calculater": "a.B"}),
            r"unknown key 'reference\.calculater'; did you mean 'calculator'\?",
        ),
        (
            changed("evaluation", "collective_variables", value=[PHI | {"rnage": [0, 1]}]),
            r"unknown key 'evaluation\.collective_variables\.0\.rnage'; did you mean 'range'\?",
        ),
        (
            changed("qqq", value=1),
            "unknown key 'qqq'; known keys: control, elements, evaluation, exploration, finish, ",
        ),
        # a misspelt key is the cause, the missing one only follows from it
        (
            changed("start", value={"structurs": "a.xyz"}),
            r"unknown key 'start\.structurs'; did you mean 'structures'\?",
        ),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, fields)
    with pytest.raises(ConfigError, match=message) as error:
        load_campaign(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (changed("start", value={}), "give structures, or labels to start from"),
        (
            changed("reference", value={"input": "x"}),
            r"key 'reference\.kind' is missing, wanted lammps or ase",
        ),
        (
            changed("reference", value={"kind": "lamps"}),
            r"'reference\.kind' must be lammps or ase or files, got 'lamps'",
        ),
        (
            changed("exploration", "steps", value="many"),
            r"'exploration\.steps': wanted a number, not text, got 'many'",
        ),
        (
            changed("exploration", "tau", value=-1),
            r"'exploration\.tau': .*greater than or equal to 0, got -1",
        ),
        (changed("reference", "input", value=3), r"'reference\.input': .*path.*, got 3"),
        (
            changed("selection", "method", value="maxdet"),
            r"'selection\.method': .*'max_det'.*, got 'maxdet'",
        ),
        (
            changed("selection", "balance", value=1.5),
            r"'selection\.balance': .*less than or equal to 1, got 1\.5",
        ),
        (
            changed("selection", "per_molecule", value=0),
            r"'selection\.per_molecule': .*greater than 0, got 0",
        ),
        (
            changed("selection", value={"method": "random", "balance": 0.5}),
            "'selection': balance weights a kernel, which the method 'random' does not have",
        ),
        (changed("name", value="a b"), r"'name': .*pattern.*, got 'a b'"),
        (
            changed("training", value={"validation": 0.5, "calibration": 0.5}),
            "'training': validation and calibration together must be less than 1",
        ),
        (
            changed("evaluation", "collective_variables", value=[PHI | {"volume": True}]),
            r"'evaluation\.collective_variables\.0': give exactly one of angle, ",
        ),
        (
            changed("evaluation", "collective_variables", value=[{"name": "V", "volume": True}]),
            r"give its range as \[low, high\]",
        ),
    ],
)
def test_a_missing_key_or_a_wrong_value_is_one_line(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_campaign(write(tmp_path, fields))
    assert "\n" not in str(error.value)


def test_files_that_are_not_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"file 'nowhere\.yaml' does not exist"):
        load_campaign("nowhere.yaml")
    path = tmp_path / "x.yaml"
    path.write_text("a: [1\nb: 2")
    with pytest.raises(ConfigError, match=r"x\.yaml is not YAML: .*line 2"):
        load_campaign(path)
    path.write_bytes(b"\x80\x02\xff")
    with pytest.raises(ConfigError, match=r"x\.yaml is not YAML"):
        load_campaign(path)
    path.write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match=r"x\.yaml: wanted keys and values, got list"):
        load_campaign(path)


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_campaign(QUICKSTART)
    assert config.start.structures == ALA2 / "c7eq.xyz"
    assert config.exploration.input == ALA2 / "explore.in"
    assert config.evaluation.test == ALA2 / "testset.extxyz"
    assert isinstance(config.reference, LammpsReference)
    assert config.reference.input == ALA2 / "reference.in"


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (("start", "structures"), r"'start\.structures': file '.*gone' does not exist"),
        (("evaluation", "test"), r"'evaluation\.test': file '.*gone' does not exist"),
        (("control", "exploration"), r"'exploration\.input': file '.*gone' does not exist"),
    ],
)
def test_a_file_that_is_named_and_not_there_is_an_error(
    tmp_path: Path, keys: tuple[str, ...], named: str
) -> None:
    value: Any = {"input": "gone"} if keys[0] == "control" else "gone"
    with pytest.raises(ConfigError, match=named):
        load_campaign(write(tmp_path, changed(*keys, value=value)))


def test_a_variable_that_the_script_does_not_have_is_refused(tmp_path: Path) -> None:
    wrong = {"exploration": {"variables": {"temprature": 600.0}}}
    message = r"variables.temprature does not occur in walker.in, whose variables are model, "
    with pytest.raises(ConfigError, match=message):
        load_campaign(tiny(tmp_path, wrong))
    with pytest.raises(ConfigError, match=f"control: exploration.{message}"):
        load_campaign(tiny(tmp_path, {"control": wrong}))


def test_a_bias_stress_alone_is_a_bias(tmp_path: Path) -> None:
    def biased(**exploration: Any) -> bool:
        settings = {"input": "explore.in", "tau": 0.0} | exploration
        return ExplorationConfig(**settings).bias == "biased"

    assert biased(tau=0.1)
    assert biased(tau_stress=0.5)
    assert biased(variables={"tau_stress": [0.0, 0.5]})
    assert not biased(variables={"tau_stress": 0.0})
    assert not biased()
    gaussians = {"height": 0.1, "width": 40.0, "stride": 100}
    with pytest.raises(ValueError, match="set tau"):
        biased(metadynamics=gaussians, tau_stress=0.5)


def test_the_variable_of_a_bias_stress_is_its_key(tmp_path: Path) -> None:
    """The bias stress was a free variable of scripts before it was a key."""
    as_variable = ExplorationConfig(input="x.in", variables={"tau_stress": 0.5, "pressure": 1.0})
    as_key = ExplorationConfig(input="x.in", tau_stress=0.5, variables={"pressure": 1.0})
    assert as_variable == as_key
    # a list, one value for each walker, stays a variable
    listed = ExplorationConfig(input="x.in", variables={"tau_stress": [0.0, 0.5]})
    assert listed.variables == {"tau_stress": [0.0, 0.5]}
    assert [script_variables(listed, k)["tau_stress"] for k in (0, 1)] == [0.0, 0.5]
    assert script_variables(as_key, 0)["tau_stress"] == 0.5
    with pytest.raises(ValueError, match="tau_stress"):
        ExplorationConfig(input="x.in", variables={"tau_stress": -1.0})


def test_a_bias_stress_wants_a_script_that_has_it(tmp_path: Path) -> None:
    message = (
        r"exploration\.tau_stress = 0\.5 does not occur in walker\.in, whose variables are .*tau"
    )
    with pytest.raises(ConfigError, match=message):
        load_campaign(tiny(tmp_path, {"exploration": {"tau_stress": 0.5}}))


def test_the_control_arm_merges_its_differences_into_the_campaign() -> None:
    config = load_campaign(QUICKSTART)
    control = control_arm(config)
    assert control.exploration.tau == 0.0
    assert control.exploration == config.exploration.model_copy(update={"tau": 0.0})
    assert control.control is None
    fields = {"exploration", "control"}
    assert control.model_dump(exclude=fields) == config.model_dump(exclude=fields)


def test_the_control_arm_is_checked_when_the_file_is_read(tmp_path: Path) -> None:
    path = tiny(tmp_path, {"control": {"exploration": {"tua": 0.0}}})
    message = r"control: unknown key 'exploration\.tua'; did you mean 'tau'\?"
    with pytest.raises(ConfigError, match=message):
        load_campaign(path)


def test_paths_of_the_control_arm_are_relative_to_the_file_too(tmp_path: Path) -> None:
    (tmp_path / "other.in").write_text((ALA2 / "explore.in").read_text())
    path = tiny(tmp_path, {"control": {"exploration": {"input": "other.in"}}})
    assert control_arm(load_campaign(path)).exploration.input == tmp_path / "other.in"


@pytest.mark.parametrize(
    ("keys", "value", "asked"),
    [
        (("seed",), 2, False),
        (("start", "candidates"), str(ALA2 / "c7eq.xyz"), True),
        (("selection", "balance"), 0.0, True),
        (("selection", "per_molecule"), 1, True),
    ],
)
def test_molecules_matter_where_a_setting_asks_for_them(
    tmp_path: Path, keys: tuple[str, ...], value: Any, asked: bool
) -> None:
    config = load_campaign(write(tmp_path, changed(*keys, value=value)))
    assert config.by_molecule == asked


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_campaign(QUICKSTART).seed = 2  # type: ignore[misc]


def test_train_takes_its_sections_from_a_campaign_file_and_defaults_for_the_rest(
    tmp_path: Path,
) -> None:
    file = load_training(QUICKSTART)
    model, training, uncertainty = file.model, file.training, file.uncertainty
    assert (model, uncertainty) == (ModelConfig(), UncertaintyConfig())
    assert training == TrainingConfig(epochs=200)
    path = tmp_path / "train.yaml"
    path.write_text("model: {cutoff: 4.5}\n")
    assert load_training(path).model == ModelConfig(cutoff=4.5)
    path.write_text("trainig: {epochs: 3}\n")
    with pytest.raises(ConfigError, match=r"unknown key 'trainig'; did you mean 'training'\?"):
        load_training(path)


def test_a_reference_may_stand_in_a_campaign_or_in_a_file_of_its_own(tmp_path: Path) -> None:
    reference = load_reference(QUICKSTART)
    assert isinstance(reference, LammpsReference)
    assert reference.input == ALA2 / "reference.in"
    path = tmp_path / "xtb.yaml"
    path.write_text("kind: ase\ncalculator: tblite.ase.TBLite\narguments: {method: GFN2-xTB}\n")
    xtb = load_reference(path)
    assert isinstance(xtb, AseReference)
    assert xtb.arguments == {"method": "GFN2-xTB"}
    path.write_text("kind: ase\ncalculatr: tblite.ase.TBLite\n")
    with pytest.raises(ConfigError, match=r"'reference\.calculatr'; did you mean 'calculator'\?"):
        load_reference(path)


def test_the_schema_knows_every_section_of_the_quickstart() -> None:
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    fields = yaml.safe_load(QUICKSTART.read_text())
    assert set(fields) <= set(schema["properties"])
    assert set(schema["required"]) == {"name", "start", "reference", "exploration"}
    assert set(schema["properties"]) == set(CampaignConfig.model_fields)


def test_the_schema_accepts_the_quickstart_and_refuses_an_unknown_key() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = CampaignConfig.model_json_schema()
    fields = yaml.safe_load(QUICKSTART.read_text())
    jsonschema.validate(fields, schema)
    wrong = deepcopy(fields)
    wrong["start"]["cuont"] = 3
    with pytest.raises(jsonschema.ValidationError, match="cuont"):
        jsonschema.validate(wrong, schema)
