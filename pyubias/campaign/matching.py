"""Which of many structures another one is, whatever its order of atoms and their images."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

__all__ = ["Match", "Matcher"]

Array = NDArray[np.float64]

# Å; programs print positions with five digits behind the point, or more
TOLERANCE = 2e-3
# structures whose fingerprints are nearest are compared atom by atom
CANDIDATES = 8
# reciprocal vectors of the fingerprint of a periodic structure
WAVES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 1, 1]])


class Match(NamedTuple):
    """A structure that was found again.

    Attributes:
        structure: its index.
        order: (n,), `atoms[order]` has the order of atoms of the structure.
        displacements: (n, 3), from the atoms of the structure to those of `atoms`, Å.
    """

    structure: int
    order: NDArray[np.int64]
    displacements: Array


class Matcher:
    """Finds structures again in what other programs made of them.

    Atoms may be in another order and, along periodic directions, in another cell; a structure
    without periodic directions may be moved as a whole.
    """

    def __init__(self, structures: Sequence[Atoms]) -> None:
        self.structures = structures
        groups: dict[tuple[bytes, bytes], list[int]] = defaultdict(list)
        for k, atoms in enumerate(structures):
            groups[_group(atoms)].append(k)
        self._members = groups
        self._trees = {
            group: KDTree(np.stack([_fingerprint(structures[k]) for k in members]))
            for group, members in groups.items()
        }

    def find(self, atoms: Atoms) -> Match | str:
        """The structure that equals `atoms` to 0.002 Å, or why there is none."""
        group = _group(atoms)
        if group not in self._trees:
            return f"no structure has {atoms.get_chemical_formula()} with these periodic directions"
        members = self._members[group]
        _, near = self._trees[group].query(_fingerprint(atoms), k=min(CANDIDATES, len(members)))
        smallest = np.inf
        for index in (members[k] for k in np.atleast_1d(near)):
            order, displacements = _align(self.structures[index], atoms)
            largest = float(np.linalg.norm(displacements, axis=1).max(initial=0.0))
            if largest < TOLERANCE:
                return Match(index, order, displacements)
            smallest = min(smallest, largest)
        return f"the nearest structure has an atom {smallest:.3g} Å away"


def _group(atoms: Atoms) -> tuple[bytes, bytes]:
    return np.sort(atoms.numbers).tobytes(), atoms.pbc.tobytes()


def _fingerprint(atoms: Atoms) -> Array:
    """Numbers that depend neither on the order of atoms nor on their images."""
    weights = np.sqrt(atoms.numbers) / len(atoms)
    if not atoms.pbc.any():
        moved = atoms.positions - atoms.positions.mean(0)
        second = np.einsum("i,ia,ib->ab", weights, moved, moved)[np.triu_indices(3)]
        return np.concatenate([second, np.einsum("i,ia,ia,ib->b", weights, moved, moved, moved)])
    # waves along periodic directions have no jump where an atom leaves the cell
    scaled = atoms.positions @ np.linalg.inv(atoms.cell.complete().array)
    sums = weights @ np.exp(2j * np.pi * scaled @ (WAVES * atoms.pbc).T)
    heights = weights @ np.square(np.where(atoms.pbc, 0.0, scaled - scaled.mean(0)))
    return np.concatenate([atoms.cell.array.ravel(), sums.real, sums.imag, heights])


def _align(structure: Atoms, atoms: Atoms) -> tuple[NDArray[np.int64], Array]:
    """The order in which atoms are nearest to those of the structure, and their displacements."""
    positions = atoms.positions
    cell, pbc = structure.cell, structure.pbc
    if pbc.any():
        if np.abs(cell.array - atoms.cell.array).max() > TOLERANCE:
            return np.arange(len(atoms)), np.full((len(atoms), 3), np.inf)
    else:
        positions = positions - positions.mean(0) + structure.positions.mean(0)
    if np.array_equal(structure.numbers, atoms.numbers):
        displacements = _nearest_image(positions - structure.positions, cell.array, pbc)
        if np.linalg.norm(displacements, axis=1).max(initial=0.0) < TOLERANCE:
            return np.arange(len(atoms)), displacements
    order = np.zeros(len(atoms), dtype=np.int64)
    for number in np.unique(structure.numbers):
        ours, theirs = (
            np.flatnonzero(structure.numbers == number),
            np.flatnonzero(atoms.numbers == number),
        )
        between = positions[theirs][None] - structure.positions[ours][:, None]
        distances = np.linalg.norm(_nearest_image(between, cell.array, pbc), axis=-1)
        rows, columns = linear_sum_assignment(distances)
        order[ours[rows]] = theirs[columns]
    return order, _nearest_image(positions[order] - structure.positions, cell.array, pbc)


def _nearest_image(vectors: Array, cell: Array, pbc: NDArray[np.bool_]) -> Array:
    """Vectors (…, 3) without whole cell vectors along periodic directions; right for short ones."""
    if not pbc.any():
        return vectors
    complete = np.where(pbc[:, None] | (np.abs(cell).sum(1) > 0)[:, None], cell, np.eye(3))
    fractions = vectors @ np.linalg.inv(complete)
    return vectors - (np.round(fractions) * pbc) @ complete
