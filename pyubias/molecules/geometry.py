"""Geometries as vectors that do not depend on orientation, nor on the order of like atoms."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from pyubias.molecules.identity import Molecule

__all__ = ["environments_of", "shape", "torsion_angles"]

Array = NDArray[np.float64]

CUTOFF = 5.0  # Å

NEIGHBOURS = 12  # of each element

NEAREST = 0.1  # Å, below which distances count as this, so that atoms may sit on each other


def shape(molecule: Molecule, positions: Array) -> Array:
    """Interatomic distances in Å, sorted among pairs of atoms that the graph cannot tell apart.

    Rotations, reflections and exchanges of like atoms leave it as it is. Columns of
    conformers of one molecule can be compared.

    Args:
        molecule: whose atoms they are.
        positions: (n, 3), in the order of the molecule's key.
    """
    i, j = np.triu_indices(len(positions), 1)
    distances = np.linalg.norm(positions[i] - positions[j], axis=1)
    classes = np.array(molecule.classes)
    low, high = np.minimum(classes[i], classes[j]), np.maximum(classes[i], classes[j])
    return distances[np.lexsort((distances, high, low))]


def torsion_angles(molecule: Molecule, positions: Array) -> Array:
    """Angles of the molecule's torsions, 0 to 360 degrees; positions as in `shape`.

    The angle of four atoms of which three are in line has no meaning; it is 0.
    """
    if not molecule.torsions:
        return np.zeros(0)
    a, b, c, d = positions[np.array(molecule.torsions).T]
    axis = c - b
    left, right = np.cross(b - a, axis), np.cross(axis, d - c)
    sine = np.linalg.norm(axis, axis=1) * ((b - a) * right).sum(1)
    return np.degrees(np.arctan2(sine, (left * right).sum(1))) % 360.0


def environments_of(atoms: Atoms, elements: Sequence[str]) -> Array:
    """Surroundings of each atom, (n, d), without a unit.

    For each element of the neighbours: w/r of the nearest of them, sorted, then the mean over
    pairs of neighbours of √(w w')/r', which knows the angles; the form is that of
    Schwalbe-Koda et al., Nat. Commun. 16, 4014 (2025), with the elements kept apart. All distances
    are in units of the sum of two covalent radii, and w falls smoothly to zero at 5 Å.

    Args:
        atoms: a structure.
        elements: of all structures that are to be compared.
    """
    centre, neighbour, distance, vector = neighbor_list("ijdD", atoms, CUTOFF)
    distance = np.maximum(distance, NEAREST)
    radii = covalent_radii[atoms.numbers]
    weight = np.square(1.0 - np.square(distance / CUTOFF))
    # also distances between neighbours are measured in covalent radii
    radial = weight * (radii[centre] + radii[neighbour]) / distance
    angular = np.zeros_like(radial)
    ends = np.searchsorted(centre, np.arange(len(atoms) + 1))
    for first, end in pairwise(ends):
        mine = slice(first, end)
        angular[mine] = _between(vector[mine], weight[mine], radii[neighbour[mine]])
    columns = np.zeros(max(atomic_numbers.values()) + 1, dtype=np.int64)
    columns[[atomic_numbers[e] for e in elements]] = np.arange(len(elements))
    column = columns[atoms.numbers[neighbour]]
    rows = np.zeros((len(atoms), len(elements), 2, NEIGHBOURS))
    for kind, values in enumerate((radial, angular)):
        order = np.lexsort((-values, column, centre))
        group = centre[order] * len(elements) + column[order]
        place = np.arange(len(group)) - np.searchsorted(group, group)
        near = place < NEIGHBOURS
        chosen = order[near]
        rows[centre[chosen], column[chosen], kind, place[near]] = values[chosen]
    return rows.reshape(len(atoms), -1)


def _between(vectors: Array, weights: Array, radii: Array) -> Array:
    """For each neighbour, the mean over the others of √(w w') (R + R')/r'."""
    n = len(vectors)
    if n < 2:
        return np.zeros(n)
    between = np.maximum(np.linalg.norm(vectors[:, None] - vectors, axis=-1), NEAREST)
    np.fill_diagonal(between, np.inf)
    terms = np.sqrt(weights[:, None] * weights) * (radii[:, None] + radii) / between
    return terms.sum(1) / (n - 1)
