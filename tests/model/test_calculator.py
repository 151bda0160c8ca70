"""The ASE calculator returns the predictions of its model."""

import ase.optimize
import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from structures import crystal, molecule

from pyubias.model.archive import ContractError
from pyubias.model.calculator import UbiasCalculator
from pyubias.model.prediction import Model


@pytest.fixture(scope="module")
def model(model_file):
    return Model(model_file)


@pytest.mark.parametrize("structure", [molecule, crystal])
def test_results_are_the_predictions_of_the_model(model_file, model, structure):
    atoms, (p,) = structure(), model.predict([structure()])
    atoms.calc = UbiasCalculator(model_file)
    assert atoms.get_potential_energy() == pytest.approx(p.energy, rel=1e-12)
    assert atoms.get_potential_energy(force_consistent=True) == pytest.approx(p.energy, rel=1e-12)
    np.testing.assert_allclose(atoms.get_potential_energies(), p.energies)
    np.testing.assert_allclose(atoms.get_forces(), p.forces)
    assert atoms.calc.results["total_uncertainty"] == pytest.approx(p.total_uncertainty)
    u = atoms.calc.get_property("atomic_uncertainty", atoms)
    np.testing.assert_allclose(u, p.atomic_uncertainty)
    if structure is crystal:
        np.testing.assert_allclose(atoms.get_stress(), p.stress)


def test_a_molecule_has_no_stress(model):
    atoms = molecule()
    atoms.calc = UbiasCalculator(model)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_results_follow_the_atoms(model):
    atoms = molecule()
    atoms.calc = UbiasCalculator(model)
    before = atoms.calc.get_property("total_uncertainty", atoms)
    atoms.positions[0] += 0.1
    assert atoms.calc.get_property("total_uncertainty", atoms) != before


def test_an_optimiser_of_ase_lowers_the_energy(model, ala2_frames):
    atoms = ala2_frames[0].copy()
    atoms.calc = UbiasCalculator(model)
    before = atoms.get_potential_energy()
    with ase.optimize.FIRE(atoms, logfile=None) as optimiser:
        optimiser.run(steps=5)
    assert atoms.get_potential_energy() < before


def test_a_missing_model_file_is_refused(tmp_path):
    with pytest.raises(ContractError, match="does not exist"):
        UbiasCalculator(tmp_path / "none.pt")
