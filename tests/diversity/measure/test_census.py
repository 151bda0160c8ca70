"""The census of a data set: molecules, conformers, duplicates, problems."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from small_molecules import labelled

from pyubias.diversity.measure.census import take_census
from pyubias.diversity.measure.measures import torsion_coverage
from pyubias.diversity.measure.overlap import overlaps
from pyubias.molecules.conformers import embed


def test_structures_are_grouped_by_molecule():
    frames = [labelled("CH3CH2OH", k, 0.1 * k) for k in range(3)] + [labelled("CH3OCH3", 0)]
    census = take_census(frames)
    assert [g.indices for g in census.groups] == [[0, 1, 2], [3]]
    assert census.groups[0].energy_range == pytest.approx(0.2)
    assert census.duplicates == []
    assert census.problems == []


def test_rotated_duplicates_are_found_and_contradicting_labels_named():
    first, second = labelled("CH3CH2OH", 0, 1.0), labelled("CH3CH2OH", 0, 1.5)
    second.rotate(40.0, (1, 2, 3))
    census = take_census([first, second])
    assert census.duplicates == [(1, 0)]
    assert census.problems == [
        (1, "energy differs by 0.5 eV from structure 1, which has the same geometry")
    ]


def test_torsions_depend_neither_on_the_order_of_atoms_nor_on_reflection():
    for smiles in ("CC(C)CO", "CCOCC", "CC(C)(C)CO", "O=[N+]([O-])CCO"):
        atoms = embed(smiles, 1)[0]
        atoms.rattle(0.05, seed=1)
        frames = []
        for seed in range(12):
            order = np.random.default_rng(seed).permutation(len(atoms))
            frames.append(atoms[order])
            frames[-1].positions[:, 0] *= (-1.0) ** seed
        (once,) = take_census(frames[:1]).groups
        (often,) = take_census(frames).groups
        np.testing.assert_allclose(often.angles, np.tile(once.angles, (12, 1)), atol=1e-6)
        assert torsion_coverage(often.angles) == torsion_coverage(once.angles)


def test_a_structure_with_a_dummy_atom_is_listed_and_the_others_grouped():
    dummy = Atoms("HXH", [[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    odd = labelled("CH4", 0)
    odd.info["charge"] = 0.5
    census = take_census([labelled("CH4", 0), dummy, odd])
    assert census.n_structures == 1
    assert census.problems == [
        (1, "atom 2 is 'X', which is no element"),
        (2, "info['charge'] must be a whole number, got 0.5"),
    ]


def test_geometries_of_periodic_structures_are_not_compared():
    cells = [bulk("Cu", a=a) for a in (3.5, 3.6)]
    for k, atoms in enumerate(cells):
        atoms.info["REF_energy"] = float(k)
        atoms.arrays["REF_forces"] = np.zeros((1, 3))
    census = take_census(cells)
    assert census.duplicates == []
    assert census.problems == []
    assert census.n_periodic == 2
    (found,) = overlaps({"train": census, "test": census})
    assert (found.molecules, found.leaked, found.not_compared) == (1.0, None, 2)


def test_molecules_in_a_cell_are_compared_with_those_without():
    free = [labelled("CH3CH2OH", k) for k in range(2)]
    inside = [a.copy() for a in free]
    for atoms in inside:
        atoms.set_cell([15.0, 14.0, 13.0])
        atoms.pbc = True
        atoms.rotate(50.0, (1, 2, 3))
        atoms.wrap()
    census = take_census(free + inside)
    assert census.duplicates == [(2, 0), (3, 1)]
    (found,) = overlaps({"train": take_census(free), "test": take_census(inside)})
    assert (found.leaked, found.not_compared) == (2, 0)
