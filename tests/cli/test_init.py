"""`pyubias init` writes files that the dry run accepts."""

from pathlib import Path

import ase.io
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.constraints import FixAtoms
from campaigns import ALA2
from typer.testing import CliRunner

from pyubias.campaign.dry_run import try_stages
from pyubias.cli.app import app
from pyubias.cli.init import Ensemble, Package, Reference, start_system
from pyubias.config.loading import load_campaign
from pyubias.config.schema import AseReference
from pyubias.errors import UserError
from pyubias.lammps.library import open_lammps


def shrink(file: Path) -> None:
    """A reference that every machine has, and a training of seconds."""
    text = file.read_text()
    text = text.replace("tblite.ase.TBLite", "ase.calculators.emt.EMT")
    text = text.replace("  arguments: {method: GFN2-xTB, verbosity: 0}\n", "")
    file.write_text(text + "\nmodel: {hidden: [8], n_radial: 2, n_basis: 4}\n")


def fixed_slab() -> Atoms:
    """Below zero in a direction without a cell vector, with a fixed layer."""
    slab = fcc111("Al", (2, 2, 2))
    slab.positions[:, 2] -= 3.0
    slab.info.clear()  # a dictionary, which extended XYZ cannot hold
    slab.set_constraint(FixAtoms([0, 1, 2, 3]))
    return slab


@pytest.mark.parametrize(
    "atoms",
    [
        molecule("CH3CH2OH"),
        molecule("H2O"),
        molecule("H2"),
        bulk("Al", cubic=True) * (2, 2, 2),
        fixed_slab(),
    ],
    ids=["molecule", "planar", "linear", "crystal", "slab"],
)
def test_a_new_system_is_in_order(atoms, tmp_path, capsys):
    ase.io.write(tmp_path / "start.xyz", atoms, format="extxyz")
    lines = start_system(tmp_path / "start.xyz", tmp_path / "new", "mine")
    shrink(tmp_path / "new" / "mine.yaml")
    config = load_campaign(tmp_path / "new" / "mine.yaml")
    assert isinstance(config.reference, AseReference)
    try_stages(config, 2)
    printed = capsys.readouterr().out
    assert "all is in order" in printed
    assert "on 2 ranks" in printed
    remark = "1 of 1 start structures have constraints, which are not applied"
    assert (remark in printed) == (remark in lines[0]) == bool(atoms.constraints)
    assert lines[-1] == f"next: pyubias run {tmp_path / 'new' / 'mine.yaml'} --dry-run"


def written(folder: Path, atoms: Atoms | list[Atoms], **choices) -> tuple[str, str]:
    """The campaign file, which loads, and the walker script."""
    ase.io.write(folder / "start.xyz", atoms, format="extxyz")
    start_system(folder / "start.xyz", folder / "new", "mine", **choices)
    load_campaign(folder / "new" / "mine.yaml")
    return (folder / "new" / "mine.yaml").read_text(), (folder / "new" / "explore.in").read_text()


def test_elements_of_all_structures_reach_the_script(tmp_path):
    campaign, script = written(tmp_path, [molecule("CH3OH"), molecule("NH3"), molecule("CO2")])
    assert "elements: [C, H, N, O]" in campaign
    assert 'index "C H N O"' in script
    data = (tmp_path / "new" / "structure.data").read_text()
    assert "4 atom types" in data
    assert "6 atoms" in data


@pytest.mark.parametrize(
    ("name", "step"), [("CH4", "0.0005"), ("CO2", "0.001"), ("Si2H6", "0.0005"), ("SiO", "0.001")]
)
def test_the_lightest_element_decides_the_time_step(tmp_path, name, step):
    assert f"\ntimestep {step}\n" in written(tmp_path, molecule(name))[1]


def test_metals_have_a_longer_time_step(tmp_path):
    assert "\ntimestep 0.002\n" in written(tmp_path, bulk("Cu"))[1]


def test_hydrogen_is_left_alone_with_a_word_about_protons(tmp_path):
    script = written(tmp_path, molecule("CH4"))[1]
    assert script.count("weight H 0.0") == 2
    assert "where protons move" in script
    (tmp_path / "h2").mkdir()
    assert "weight" not in written(tmp_path / "h2", molecule("H2"))[1]


def test_a_free_cell_has_bias_stress_or_says_how(tmp_path):
    campaign, script = written(tmp_path, bulk("Cu"))
    assert "tau_stress" not in campaign
    assert "\n# fix move all npt" in script
    (tmp_path / "npt").mkdir()
    campaign, script = written(tmp_path / "npt", bulk("Cu"), ensemble=Ensemble.npt)
    assert "  tau_stress: 0.25" in campaign
    assert "\nfix move all npt" in script
    assert "tau_stress ${tau_stress}" in script


def test_a_primitive_cell_moves_and_is_called_thin(tmp_path):
    ase.io.write(tmp_path / "start.xyz", bulk("Al"), format="extxyz")
    lines = start_system(tmp_path / "start.xyz", tmp_path, "mine")
    assert "warning: a cell is only 2.3 Å thick" in lines[0]
    assert "mom no rot no" in (tmp_path / "explore.in").read_text()
    (tmp_path / "large").mkdir()
    ase.io.write(tmp_path / "large.xyz", bulk("Al", cubic=True) * (2, 2, 2), format="extxyz")
    lines = start_system(tmp_path / "large.xyz", tmp_path / "large", "mine")
    assert "warning" not in lines[0]
    assert "mom yes rot no" in (tmp_path / "large" / "explore.in").read_text()


def test_the_temperature_is_that_of_walkers(tmp_path):
    campaign, script = written(tmp_path, bulk("Cu"), temperature=900.0)
    assert "temperature: 900.0" in campaign
    assert "variable temperature index 900.0" in script


@pytest.mark.parametrize("reference", list(Reference))
def test_every_reference_makes_a_campaign_that_loads(tmp_path, reference):
    ase.io.write(tmp_path / "start.xyz", bulk("Al"), format="extxyz")
    lines = start_system(tmp_path / "start.xyz", tmp_path, "mine", reference=reference)
    loaded = load_campaign(tmp_path / "mine.yaml").reference
    assert loaded.kind == ("files" if reference == Reference.files else "ase")
    assert reference == Reference.tblite or "; " in lines[-4]


@pytest.mark.parametrize(
    ("atoms", "choices", "message"),
    [
        (molecule("CH4"), {"ensemble": Ensemble.npt}, "npt is for structures that are periodic"),
        (bulk("Si"), {"reference": Reference.emt}, "emt knows .* got Si"),
        (molecule("CH4"), {"reference": Reference.cp2k}, "cp2k needs a cell, periodic in three"),
        ([molecule("CH4"), bulk("Al")], {}, "differ in their periodic directions"),
    ],
)
def test_what_could_not_run_is_refused_before_anything_is_written(
    tmp_path, atoms, choices, message
):
    with pytest.raises(UserError, match=message):
        written(tmp_path, atoms, **choices)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("model", [m for m in Package if m != Package.gmnn])
def test_another_package_trains_where_it_is_asked_to(tmp_path, model):
    start_system(ALA2 / "c7eq.xyz", tmp_path, "mine", model)
    assert f"-m venv {model} && {model}/bin/pip" in (tmp_path / "mine.yaml").read_text()
    trainer = load_campaign(tmp_path / "mine.yaml").trainer
    assert (trainer.kind, trainer.python) == (model, model)
    assert trainer.foundation == ("7net-0" if model == "sevennet" else None)


def test_an_unknown_model_is_refused():
    result = CliRunner().invoke(app, ["init", str(ALA2 / "c7eq.xyz"), "--model", "orb"])
    assert result.exit_code == 2
    assert "'orb' is not one of" in result.output


def test_nothing_is_overwritten(tmp_path):
    start_system(ALA2 / "c7eq.xyz", tmp_path, "mine")
    with pytest.raises(UserError, match=r"mine\.yaml' exists already"):
        start_system(ALA2 / "c7eq.xyz", tmp_path, "mine")


def test_a_missing_structure_is_named(tmp_path):
    with pytest.raises(UserError, match=r"structure '.*none\.xyz' does not exist"):
        start_system(tmp_path / "none.xyz", tmp_path, "mine")


def test_lammps_opens_with_the_plugin():
    with open_lammps() as instance:
        assert "ubias" in instance.available_styles("pair")
