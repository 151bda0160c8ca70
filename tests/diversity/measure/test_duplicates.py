"""Duplicates of geometries."""

import numpy as np
from ase import Atoms
from small_molecules import labelled

from pyubias.diversity.measure.census import take_census
from pyubias.diversity.measure.duplicates import DUPLICATE_RMSD, find_duplicates


def test_duplicates_are_those_of_all_pairs():
    """Near and exact copies among many, against the differences of all pairs."""
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
        if difference.min() < DUPLICATE_RMSD**2:
            expected.append((k, int(difference.argmin())))
    assert 50 < len(expected) < 150
    assert census.duplicates == expected


def test_single_atoms_are_all_one_geometry():
    atoms = Atoms("Ar", info={"REF_energy": 0.0})
    assert take_census([atoms] * 3).duplicates == [(1, 0), (2, 0)]


def test_a_row_is_paired_with_the_nearest_earlier_one() -> None:
    rows = np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0008], [1.0, 2.0005], [3.0, 4.0]])
    assert find_duplicates(rows) == [(2, 0), (3, 2), (4, 1)]
