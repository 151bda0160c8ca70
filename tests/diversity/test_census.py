"""The census of a set, and what sets share."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from pyubias.diversity.measure.census import SAME, take_census
from pyubias.diversity.measure.measures import torsion_coverage
from pyubias.diversity.measure.overlap import overlaps
from pyubias.molecules.conformers import embed


def labelled(name: str, seed: int, energy: float = 0.0) -> Atoms:
    atoms = molecule(name)
    atoms.rattle(0.05, seed=seed)
    atoms.info["REF_energy"] = energy
    atoms.arrays["REF_forces"] = np.zeros((len(atoms), 3))
    return atoms


def test_structures_are_grouped_by_molecule():
    frames = [labelled("CH3CH2OH", k, 0.1 * k) for k in range(3)] + [labelled("CH3OCH3", 0)]
    census = take_census(frames)
    assert [g.indices for g in census.groups] == [[0, 1, 2], [3]]
    assert census.groups[0].energy_range == pytest.approx(0.2)
    assert census.duplicates == []
    assert census.problems == []


def test_duplicates_are_found_also_turned_and_contradicting_labels_told():
    first, second = labelled("CH3CH2OH", 0, 1.0), labelled("CH3CH2OH", 0, 1.5)
    second.rotate(40.0, (1, 2, 3))
    census = take_census([first, second])
    assert census.duplicates == [(1, 0)]
    assert census.problems == [
        (1, "energy differs by 0.5 eV from structure 1, which has the same geometry")
    ]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda a: a.info.pop("REF_energy"), "no energy"),
        (lambda a: a.info.update(REF_energy=np.nan), "energy is not finite"),
        (lambda a: a.arrays.pop("REF_forces"), "no forces"),
        (lambda a: a.arrays["REF_forces"].fill(np.nan), "forces are not finite"),
        (lambda a: a.arrays["REF_forces"].fill(60.0), "|F| = 104 eV/Å"),
        (lambda a: a.arrays["REF_forces"].fill(0.1), "net force 1.56 eV/Å"),
        (lambda a: a.positions.__setitem__(3, a.positions[4]), "atoms 4 and 5 are 0.00 Å apart"),
        (lambda a: a.positions.__setitem__(0, 20.0), "falls into more than one molecule"),
    ],
)
def test_problems_of_labels_are_named(damage, reason):
    atoms = labelled("CH3CH2OH", 0)
    damage(atoms)
    assert reason in [r for _, r in take_census([atoms]).problems]


def test_duplicates_are_those_of_all_pairs():
    """Near and exact copies among many, against differences of all pairs."""
    generator = np.random.default_rng(0)
    frames = [labelled("CH3CH2OH", k % 150) for k in range(300)]
    for atoms in frames[200:]:
        atoms.positions += generator.normal(size=atoms.positions.shape) * generator.choice(
            [2e-4, 1e-3, 3e-3]
        )
    census = take_census(frames)
    shapes = census.groups[0].shapes
    expected = []
    for k in range(1, len(shapes)):
        difference = np.square(shapes[:k] - shapes[k]).mean(1)
        if difference.min() < SAME**2:
            expected.append((k, int(difference.argmin())))
    assert 50 < len(expected) < 150
    assert census.duplicates == expected


def test_single_atoms_are_all_one_geometry():
    atoms = Atoms("Ar", info={"REF_energy": 0.0})
    assert take_census([atoms] * 3).duplicates == [(1, 0), (2, 0)]


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


def test_a_structure_of_no_element_is_listed_and_the_others_measured():
    dummy = Atoms("HXH", [[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    odd = labelled("CH4", 0)
    odd.info["charge"] = 0.5
    census = take_census([labelled("CH4", 0), dummy, odd])
    assert census.n_structures == 1
    assert census.problems == [
        (1, "atom 2 is 'X', which is no element"),
        (2, "info['charge'] must be a whole number, got 0.5"),
    ]


def test_overlap_counts_molecules_scaffolds_and_leaked_geometries():
    train = [labelled("CH3CH2OH", 0), labelled("C6H6", 0)]
    test = [labelled("CH3CH2OH", 0), labelled("CH3CH2OH", 5), labelled("CH3OCH3", 0)]
    (found,) = overlaps({"train": take_census(train), "test": take_census(test)})
    assert (found.first, found.second) == ("train", "test")
    assert found.shared_molecules == ["CCO"]
    assert found.molecules == pytest.approx(2 / 3)
    assert found.scaffolds == 0.0
    assert found.leaked == 1


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


def test_sets_without_common_molecules_share_nothing():
    (found,) = overlaps(
        {"a": take_census([labelled("CH4", 0)]), "b": take_census([labelled("C6H6", 0)])}
    )
    assert (found.shared_molecules, found.molecules, found.leaked) == ([], 0.0, 0)
