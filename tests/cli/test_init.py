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
from pyubias.cli.thin_cells import thick_enough
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


def test_a_primitive_cell_is_repeated_with_a_word_and_the_file_of_the_user_stays(tmp_path):
    given = tmp_path / "mine.extxyz"
    ase.io.write(given, bulk("Al"))
    text = given.read_text()
    lines = start_system(given, tmp_path, "mine")
    assert lines[0].startswith("repeated 1 of 1 cells, 3 x 3 x 3 for the first, which is only 2.3")
    assert not any("warning" in line for line in lines)
    assert given.read_text() == text
    start = load_campaign(tmp_path / "mine.yaml").start.structures
    assert len(ase.io.read(start)) == 27
    assert "27 atoms" in (tmp_path / "structure.data").read_text()


def test_only_periodic_directions_of_thin_cells_are_repeated():
    thin_slab, slab = fcc111("Cu", (1, 1, 1), vacuum=1.0), fcc111("Cu", (2, 2, 3), vacuum=8.0)
    frames, lines = thick_enough([thin_slab, slab, molecule("H2O")])
    assert [len(atoms) for atoms in frames] == [16, 12, 3]
    assert lines[0].startswith("repeated 1 of 3 cells, 4 x 4 x 1 for the first")
    assert lines[1].startswith("warning: a cell is only 4.4 Å thick")
    assert thick_enough([bulk("Al", cubic=True) * (2, 2, 2)])[1] == []


def test_a_walk_takes_five_picoseconds(tmp_path):
    for name, steps in (("CH4", 10000), ("CO2", 5000), ("Au2", 2500)):
        atoms = molecule(name) if name != "Au2" else Atoms("Au2", [[0, 0, 0], [0, 0, 2.5]])
        (tmp_path / name).mkdir()
        campaign, script = written(tmp_path / name, atoms)
        assert f"\n  steps: {steps}\n" in campaign
        assert f"\nvariable steps       index {steps}\n" in script


@pytest.mark.parametrize("pbc", [False, True])
def test_a_single_atom_among_start_structures_moves(tmp_path, pbc):
    frames = [molecule("H2O", vacuum=5.0, pbc=pbc), Atoms("O", cell=[10, 10, 10], pbc=pbc)]
    ase.io.write(tmp_path / "start.xyz", frames, format="extxyz")
    start_system(tmp_path / "start.xyz", tmp_path, "mine")
    lines = (tmp_path / "explore.in").read_text().splitlines()
    kept = ("timestep", "velocity", "compute_modify", "fix move", "fix bath")
    with open_lammps() as lammps:
        lammps.commands_string(
            "units metal\natom_style atomic\nboundary p p p\nregion r block 0 9 0 9 0 9\n"
            "create_box 1 r\ncreate_atoms 1 single 0.5 0.5 0.5\nmass 1 16\npair_style zero 2.0\n"
            "pair_coeff * *\nvariable temperature index 300\nvariable seed index 1\n"
        )
        for line in lines:
            if line.startswith(kept):
                lammps.command(line)
        lammps.command("run 50")
        speeds = [abs(v) for v in lammps.gather_atoms("v", 1, 3)]
    assert 0.1 < max(speeds) < 100.0  # Å/ps


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
