"""Structures that LAMMPS and calculators get are those of the file, or they are refused."""

import re

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from pyubias.errors import UserError
from pyubias.training.cells import in_box, right_handed
from pyubias.training.structures import (
    check_geometry,
    read_structures,
    without_constraints,
)


def energy_and_forces(atoms):
    copy = atoms.copy()
    copy.calc = EMT()
    return copy.get_potential_energy(), copy.get_forces()


def assert_same(one, other):
    energy, forces = energy_and_forces(one)
    other_energy, other_forces = energy_and_forces(other)
    assert energy == pytest.approx(other_energy, abs=1e-9)
    np.testing.assert_allclose(forces, other_forces, atol=1e-9)


def rattled(atoms):
    atoms.rattle(0.1, seed=1)
    return atoms


def tilted():
    atoms = rattled(fcc111("Cu", (2, 2, 2)))
    atoms.cell[2] = [3.0, 1.0, 9.0]
    return atoms


def chain():
    atoms = Atoms("Cu3", positions=[[0.1, 0, -0.5], [2.4, 0.2, 0], [4.9, 0, 0.7]])
    atoms.cell[0], atoms.pbc = [7.2, 0.5, 0.1], (True, False, False)
    return atoms


@pytest.mark.parametrize(
    "atoms",
    [
        rattled(fcc111("Cu", (2, 2, 2))),
        rattled(fcc111("Cu", (2, 2, 2), vacuum=0.2)),
        tilted(),
        chain(),
    ],
    ids=["no third vector", "little vacuum", "tilted", "chain"],
)
@pytest.mark.parametrize("shift", [-3.0, 0.0, 40.0])
def test_a_box_holds_all_atoms_and_changes_nothing_else(atoms, shift):
    atoms = atoms.copy()
    atoms.positions[:, 2] += shift
    boxed = in_box(atoms)
    assert_same(atoms, boxed)
    np.testing.assert_array_equal(boxed.cell.array[atoms.pbc], atoms.cell.array[atoms.pbc])
    inside = boxed.get_scaled_positions(wrap=False)[:, ~atoms.pbc]
    assert inside.min() > 0.0
    assert inside.max() < 1.0
    cosines = boxed.cell.array @ boxed.cell.array.T
    open_, periodic = np.flatnonzero(~atoms.pbc), np.flatnonzero(atoms.pbc)
    np.testing.assert_allclose(cosines[np.ix_(open_, periodic)], 0.0, atol=1e-9)


def test_a_structure_in_its_box_is_left_alone():
    slab = fcc111("Cu", (2, 2, 2), vacuum=8.0)
    for atoms in (slab, bulk("Cu", cubic=True), molecule("H2O")):
        assert in_box(atoms) is atoms


def test_a_left_handed_cell_becomes_right_handed_and_spans_the_same_lattice():
    atoms = rattled(bulk("Cu", cubic=True) * (2, 1, 1))
    atoms.cell[[0, 1]] = atoms.cell.array[[1, 0]]
    turned = right_handed(atoms)
    assert np.linalg.det(atoms.cell.array) < 0.0 < np.linalg.det(turned.cell.array)
    assert_same(atoms, turned)
    np.testing.assert_array_equal(turned.positions, atoms.positions)
    assert right_handed(turned) is turned


def zero_vector():
    return Atoms("Cu2", positions=[[0, 0, 0], [2.5, 0, 0]], cell=[5, 5, 0], pbc=True)


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (zero_vector(), "is periodic along cell vector 3, which is zero; .* to F .* T T T"),
        (Atoms("Cu2", positions=np.zeros((2, 3))), "atoms 0 and 1 at a distance of 0 Å"),
        (Atoms("Cu", positions=[[np.inf, 0, 0]]), "not finite"),
        (Atoms("XCu", positions=np.eye(3)[:2]), "the atomic number 0, which no element has"),
        (Atoms([29, 150], positions=np.eye(3)[:2]), "the atomic number 150, which no element has"),
        (Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2e4]]), "a coordinate of 2e\\+04 Å, wanted"),
        (Atoms(), "has no atoms"),
    ],
)
def test_a_geometry_that_makes_no_sense_is_described(atoms, message):
    assert re.search(message, check_geometry(atoms))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"info": {"charge": 1}}, "charge 1"),
        ({"info": {"spin": 3}}, "spin 3"),
        ({"info": {"multiplicity": 2}}, "multiplicity 2"),
        ({"info": {"total_charge": -1.0}}, "total_charge -1.0"),
        ({"charges": [1.0, 0.0, 0.0]}, "initial charges that add up to 1"),
        ({"magmoms": [1.0, -1.0, 0.0]}, "initial magnetic moments of up to 1"),
    ],
)
def test_charges_and_spins_that_would_be_lost_are_refused(tmp_path, changes, state):
    water = molecule("H2O")
    atoms = Atoms(water.numbers, positions=water.positions, **changes)
    ase.io.write(tmp_path / "x.extxyz", [molecule("H2O"), atoms])
    with pytest.raises(UserError, match=rf"structure 1 has {state}, which does not reach the ref"):
        read_structures(tmp_path / "x.extxyz")


def test_neutral_charges_of_a_force_field_and_a_singlet_are_read(tmp_path):
    atoms = molecule("H2O")
    atoms.info.update(charge=0, multiplicity=1)
    atoms.set_initial_charges([-0.8, 0.4, 0.4])
    atoms.set_initial_magnetic_moments(np.zeros(3))
    ase.io.write(tmp_path / "x.extxyz", atoms)
    (read,) = read_structures(tmp_path / "x.extxyz")
    np.testing.assert_allclose(read.positions, atoms.positions, atol=1e-7)


def test_constraints_are_kept_and_spoken_of(tmp_path):
    atoms = fcc111("Cu", (2, 2, 2), vacuum=8.0)
    atoms.set_constraint(FixAtoms([0, 1]))
    ase.io.write(tmp_path / "x.traj", [atoms, molecule("H2O")])
    frames = read_structures(tmp_path / "x.traj")
    assert frames[0].constraints[0].get_indices().tolist() == [0, 1]
    assert "1 of 2 start structures have constraints, which are not" in without_constraints(frames)
    assert without_constraints([molecule("H2O")]) is None


def test_a_start_structure_whose_geometry_makes_no_sense_is_refused(tmp_path):
    ase.io.write(tmp_path / "x.traj", [molecule("H2O"), zero_vector()])
    with pytest.raises(UserError, match=r"structures '.*x\.traj': structure 1 is periodic along"):
        read_structures(tmp_path / "x.traj")
