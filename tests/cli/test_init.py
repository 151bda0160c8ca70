"""`pyubias init` writes files that the dry run accepts."""

from pathlib import Path

import ase.io
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.constraints import FixAtoms
from campaigns import ALA2

from pyubias.campaign.dry_run import try_stages
from pyubias.cli.init import start_system
from pyubias.config.loading import load_campaign
from pyubias.config.schema import AseReference
from pyubias.errors import UserError
from pyubias.lammps.library import open_lammps


def shrink(file: Path) -> None:
    """A reference that every machine has, and a training of seconds."""
    text = file.read_text()
    text = text.replace("tblite.ase.TBLite", "ase.calculators.emt.EMT")
    text = text.replace("{method: GFN2-xTB, verbosity: 0}", "{}")
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
    [molecule("CH3CH2OH"), bulk("Al", cubic=True) * (2, 2, 2), fixed_slab()],
    ids=["molecule", "crystal", "slab"],
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


@pytest.mark.parametrize("model", ["mace", "sevennet", "nequip"])
def test_another_package_trains_where_it_is_asked_to(tmp_path, model):
    start_system(ALA2 / "c7eq.xyz", tmp_path, "mine", model)
    assert f"-m venv {model} && {model}/bin/pip" in (tmp_path / "mine.yaml").read_text()
    trainer = load_campaign(tmp_path / "mine.yaml").trainer
    assert (trainer.kind, trainer.python) == (model, model)
    assert trainer.foundation == ("7net-0" if model == "sevennet" else None)


def test_an_unknown_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="--model must be gmnn, mace, sevennet, nequip, got 'orb'"):
        start_system(ALA2 / "c7eq.xyz", tmp_path, "mine", "orb")


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
