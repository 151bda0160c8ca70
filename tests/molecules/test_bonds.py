"""Bonds, and molecules in one piece."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from scipy.spatial.distance import pdist
from small_molecules import shuffle_neighbor_lists

from pyubias.molecules.bonds import find_bonds
from pyubias.molecules.identity import in_order


def in_a_cell(name: str, copies: int = 1) -> Atoms:
    """Molecules in an oblique cell that cuts them, with atoms in a random order."""
    atoms = molecule(name)
    atoms.set_cell([[9.0, 0.0, 0.0], [2.0, 9.0, 0.0], [0.0, 1.0, 9.0]])
    atoms.pbc = True
    atoms = atoms.repeat((copies, 1, 1))
    atoms = atoms[np.random.default_rng(0).permutation(len(atoms))]
    atoms.wrap()
    return atoms


def test_bonds_in_a_cell_are_those_outside() -> None:
    cut = in_a_cell("C6H6")
    bonds, positions = find_bonds(cut)
    assert find_bonds(Atoms(cut.numbers, positions))[0] == bonds
    assert len(bonds) == 12
    np.testing.assert_allclose(sorted(pdist(positions)), sorted(pdist(molecule("C6H6").positions)))


def test_every_molecule_of_a_cell_is_joined_to_its_first_atom() -> None:
    cut = in_a_cell("CH3CH2OH", copies=3)
    bonds, positions = find_bonds(cut)
    assert len(bonds) == 3 * 8
    lengths = np.linalg.norm(np.subtract(*positions[np.array(bonds).T]), axis=1)
    assert lengths.max() < 1.6
    # atom 0 is the first of its molecule, which therefore stays where it is
    assert (positions[0] == cut.positions[0]).all()


def test_bonds_without_an_end_have_no_molecule() -> None:
    for crystal in (bulk("Cu", cubic=True), bulk("NaCl", "rocksalt", a=5.64)):
        assert find_bonds(crystal) is None


def test_atoms_without_bonds_stay_where_they_are() -> None:
    gas = Atoms("Ar3", positions=3.9 * np.eye(3), cell=[12.0] * 3, pbc=True)
    bonds, positions = find_bonds(gas)
    assert bonds == []
    assert (positions == gas.positions).all()


@pytest.mark.parametrize("seed", range(3))
def test_bonds_do_not_depend_on_the_order_of_the_neighbor_list(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    cut = in_a_cell("C6H6", copies=2)
    single = in_a_cell("CH3CH2OH")
    bonds, positions = find_bonds(cut)
    key, ordered = in_order(single)
    shuffle_neighbor_lists(monkeypatch, seed)
    assert find_bonds(cut)[0] == bonds
    assert (find_bonds(cut)[1] == positions).all()
    assert in_order(single)[0] == key
    assert (in_order(single)[1] == ordered).all()
