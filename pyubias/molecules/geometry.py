"""Geometries as vectors that do not depend on orientation, nor on the order of equivalent atoms."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from pyubias.molecules.identity import Molecule
from pyubias.molecules.neighbors import find_neighbors

__all__ = ["environments_of", "shape", "torsion_angles"]

Array = NDArray[np.float64]

CUTOFF = 5.0  # Å

MAX_NEIGHBORS = 12  # neighbors of each element in a descriptor

MIN_DISTANCE = 0.1  # Å; shorter distances count as this, so that 1/r is finite for coinciding atoms


def shape(molecule: Molecule, positions: Array) -> Array:
    """Interatomic distances in Å, sorted among equivalent pairs of atoms.

    Rotations, reflections and exchanges of equivalent atoms do not change it. Shapes of one
    molecule can be compared entry by entry.

    Args:
        molecule: the molecule of the geometry.
        positions: (n, 3), Å, in the order of the molecule's key.
    """
    i, j = np.triu_indices(len(positions), 1)
    distances = np.linalg.norm(positions[i] - positions[j], axis=1)
    classes = np.array(molecule.classes)
    low, high = np.minimum(classes[i], classes[j]), np.maximum(classes[i], classes[j])
    return distances[np.lexsort((distances, high, low))]


def torsion_angles(molecule: Molecule, positions: Array) -> Array:
    """Angles of the molecule's torsions in degrees, 0 to 360; positions as in `shape`.

    The angle is 0 where three of the four atoms lie in line and it is not defined.
    """
    if not molecule.torsions:
        return np.zeros(0)
    a, b, c, d = positions[np.array(molecule.torsions).T]
    axis = c - b
    left, right = np.cross(b - a, axis), np.cross(axis, d - c)
    sine = np.linalg.norm(axis, axis=1) * ((b - a) * right).sum(1)
    return np.degrees(np.arctan2(sine, (left * right).sum(1))) % 360.0


def environments_of(atoms: Atoms, elements: Sequence[str]) -> Array:
    """Descriptors (n, d) of the surroundings of each atom, without a unit.

    For each element, the descriptor holds two lists over the neighbors j of that element: w_j/r_j,
    and the mean of √(w_j w_k)/r_jk over all other neighbors k, which depends on the angles. Each
    list is sorted from the largest and has `MAX_NEIGHBORS` entries. All distances are in units of
    the sum of the two covalent radii. The weight w falls smoothly from 1 to zero at 5 Å. The form
    is that of Schwalbe-Koda et al., Nat. Commun. 16, 4014 (2025), with the elements kept apart.

    Args:
        atoms: a structure.
        elements: elements of all structures that are to be compared.
    """
    near = find_neighbors(atoms, CUTOFF)
    distance = np.maximum(near.distances, MIN_DISTANCE)
    radii = covalent_radii[atoms.numbers]
    weight = np.square(1.0 - np.square(distance / CUTOFF))
    radial = weight * (radii[near.first] + radii[near.second]) / distance
    angular = np.zeros_like(radial)
    ends = np.searchsorted(near.first, np.arange(len(atoms) + 1))
    for begin, end in pairwise(ends):
        mine = slice(begin, end)
        angular[mine] = _angular(near.vectors[mine], weight[mine], radii[near.second[mine]])
    columns = np.zeros(max(atomic_numbers.values()) + 1, dtype=np.int64)
    columns[[atomic_numbers[e] for e in elements]] = np.arange(len(elements))
    column = columns[atoms.numbers[near.second]]
    rows = np.zeros((len(atoms), len(elements), 2, MAX_NEIGHBORS))
    for kind, values in enumerate((radial, angular)):
        order = np.lexsort((-values, column, near.first))
        group = near.first[order] * len(elements) + column[order]
        place = np.arange(len(group)) - np.searchsorted(group, group)
        kept = place < MAX_NEIGHBORS
        chosen = order[kept]
        rows[near.first[chosen], column[chosen], kind, place[kept]] = values[chosen]
    return rows.reshape(len(atoms), -1)


def _angular(vectors: Array, weights: Array, radii: Array) -> Array:
    """For each neighbor j of one atom, the mean of √(w_j w_k) (R_j + R_k)/r_jk over the others."""
    n = len(vectors)
    if n < 2:
        return np.zeros(n)
    between = np.maximum(np.linalg.norm(vectors[:, None] - vectors, axis=-1), MIN_DISTANCE)
    np.fill_diagonal(between, np.inf)
    terms = np.sqrt(weights[:, None] * weights) * (radii[:, None] + radii) / between
    return terms.sum(1) / (n - 1)
