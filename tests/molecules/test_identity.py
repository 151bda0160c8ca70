"""Which molecule a structure is."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from scipy.spatial.distance import pdist

from pyubias.errors import UserError
from pyubias.molecules.fingerprints import similarities
from pyubias.molecules.identity import StructureError, in_order, molecule_of


def shuffled(atoms, seed=0):
    """The same molecule with atoms in another order, turned and moved."""
    copy = atoms[np.random.default_rng(seed).permutation(len(atoms))]
    copy.rotate(70.0, (1, 2, 3))
    copy.positions += 5.0
    return copy


def test_order_of_atoms_and_orientation_do_not_matter():
    for name in ("CH3CH2OH", "C6H6", "CH3COOH", "CH3CN"):
        first, second = molecule(name), shuffled(molecule(name))
        assert molecule_of(first)[0] == molecule_of(second)[0]


def test_isomers_of_connection_are_two_molecules():
    ethanol, ether = molecule("CH3CH2OH"), molecule("CH3OCH3")
    assert molecule_of(ethanol)[0].key != molecule_of(ether)[0].key
    both = [molecule_of(ethanol)[0], molecule_of(ether)[0]]
    bits = [molecule.bits for molecule in both]
    matrix = similarities(bits, bits)
    assert matrix.diagonal().tolist() == [1.0, 1.0]
    assert matrix[0, 1] == matrix[1, 0] < 1.0


def test_bond_orders_scaffold_and_torsions_are_found():
    acid = molecule_of(molecule("CH3COOH"))[0]
    assert acid.smiles == "CC(=O)O"
    assert acid.scaffold == ""
    benzene = molecule_of(molecule("C6H6"))[0]
    assert (benzene.smiles, benzene.scaffold, benzene.torsions) == ("c1ccccc1", "c1ccccc1", ())
    butadiene = molecule_of(molecule("trans-butane"))[0]
    assert len(butadiene.torsions) == 1


def test_charge_is_part_of_the_molecule():
    neutral, charged = molecule("NH3"), molecule("NH3")
    charged.info["charge"] = 1
    assert molecule_of(charged)[0].key == molecule_of(neutral)[0].key + "|+1"


def test_a_charge_has_two_names():
    ion = molecule("NH3")
    ion.info["total_charge"] = 1
    assert molecule_of(ion)[0].key.endswith("|+1")


@pytest.mark.parametrize(
    ("info", "multiplicity"),
    [
        ({}, None),
        ({"multiplicity": 1}, None),
        ({"multiplicity": 3}, 3),
        ({"spin_multiplicity": 3}, 3),
        ({"spin": 0}, None),
        ({"spin": 1}, None),
        ({"spin": 2}, 3),
        ({"spin": 3}, 3),
        ({"charge": 1, "spin": 1}, None),
        ({"charge": 1, "spin": 2}, None),
        ({"charge": 1, "multiplicity": 4}, 4),
    ],
)
def test_spin_is_part_of_the_molecule_where_it_is_not_the_lowest(info, multiplicity):
    singlet, other = molecule("CH2_s1A1d"), molecule("CH2_s1A1d")
    singlet.info = {k: v for k, v in info.items() if k == "charge"}
    other.info = info
    assert molecule_of(other)[0].multiplicity == multiplicity
    assert (molecule_of(other)[0].key == molecule_of(singlet)[0].key) == (multiplicity is None)
    assert (molecule_of(other)[0].name == molecule_of(singlet)[0].name) == (multiplicity is None)


def test_a_multiplicity_below_one_is_refused():
    atoms = molecule("CH4")
    atoms.info["multiplicity"] = -1
    with pytest.raises(StructureError, match="must be positive, got -1"):
        molecule_of(atoms)


def test_a_dummy_atom_is_named():
    with pytest.raises(StructureError, match="atom 2 is 'X', which is no element"):
        molecule_of(Atoms("HX", [[0, 0, 0], [1, 0, 0]]))


def test_a_charge_that_is_no_whole_number_is_refused():
    atoms = molecule("NH3")
    atoms.info["charge"] = 0.5
    with pytest.raises(UserError, match=r"must be a whole number, got 0\.5"):
        molecule_of(atoms)


def test_positions_come_in_the_order_of_the_key():
    ethanol = molecule("CH3CH2OH")
    numbers = ethanol.numbers[molecule_of(ethanol)[1]]
    other = shuffled(ethanol)
    assert (other.numbers[molecule_of(other)[1]] == numbers).all()
    assert in_order(ethanol)[1].shape == (9, 3)


def test_a_periodic_structure_is_its_formula():
    assert molecule_of(bulk("Cu", cubic=True))[0].key == "Cu4"
    assert molecule_of(bulk("NaCl", "rocksalt", a=5.64))[0].periodic


@pytest.mark.parametrize("pbc", [True, (True, True, False)])
def test_a_molecule_cut_by_a_cell_is_the_molecule(pbc):
    free, cut = molecule("C6H6"), molecule("C6H6")
    cut.set_cell([[9.0, 0.0, 0.0], [2.0, 9.0, 0.0], [0.0, 1.0, 9.0]])
    cut.pbc = pbc
    cut.wrap()
    assert np.ptp(cut.positions, axis=0).max() > 6.0
    (whole, positions), (expected, reference) = in_order(cut), in_order(free)
    assert whole == expected
    np.testing.assert_allclose(pdist(positions), pdist(reference), atol=1e-9)


def test_a_cell_of_several_molecules_is_named_by_them():
    def cell(name):
        atoms = molecule(name)
        atoms.set_cell([8.0, 8.0, 8.0])
        atoms.pbc = True
        return molecule_of(atoms.repeat((2, 1, 1)))[0]

    ethanol, ether = cell("CH3CH2OH"), cell("CH3OCH3")
    assert ethanol.periodic
    assert ether.periodic
    assert ethanol.key.startswith("2 ")
    assert ethanol.key != ether.key
