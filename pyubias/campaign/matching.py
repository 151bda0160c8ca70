"""Which of many structures another one is, whatever its order of atoms and their images."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
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
    without periodic directions may be moved as a whole. Programs with plane waves take slabs and
    molecules with a cell as periodic in all directions, and are understood so.
    """

    def __init__(self, structures: Sequence[Atoms]) -> None:
        self.structures = structures
        self._same_atoms: dict[bytes, list[int]] = defaultdict(list)
        for k, atoms in enumerate(structures):
            self._same_atoms[_composition(atoms)].append(k)
        self._groups: dict[tuple[bytes, bytes], _Group | None] = {}

    def find(self, atoms: Atoms) -> Match | str:
        """The structure that equals `atoms` to 0.002 Å, or why there is none."""
        key = _composition(atoms), atoms.pbc.tobytes()
        if key not in self._groups:
            self._groups[key] = self._group(key[0], atoms.pbc)
        group = self._groups[key]
        if group is None:
            return f"no structure has {atoms.get_chemical_formula()} with these periodic directions"
        fingerprint, smallest = _fingerprint(atoms), np.inf
        for k in _nearest(group.tree, fingerprint):
            order, displacements = _align(group.structures[k], atoms)
            largest = float(np.linalg.norm(displacements, axis=1).max(initial=0.0))
            if largest < TOLERANCE:
                return Match(group.members[k], order, displacements)
            smallest = min(smallest, largest)
        return f"the nearest structure has an atom {smallest:.3g} Å away"

    def _group(self, composition: bytes, pbc: NDArray[np.bool_]) -> "_Group | None":
        """Structures of these atoms that a program may have taken as periodic along `pbc`."""
        members = [k for k in self._same_atoms[composition] if _can_be(self.structures[k], pbc)]
        if not members:
            return None
        structures = [self.structures[k].copy() for k in members]
        for atoms in structures:
            atoms.pbc = pbc
        tree = KDTree(np.stack([_fingerprint(atoms) for atoms in structures]))
        return _Group(members, structures, tree)


def _nearest(tree: KDTree, fingerprint: Array) -> Iterator[int]:
    """Rows in the order of their distances; the search for one only is much faster."""
    _, first = tree.query(fingerprint)
    yield int(first)
    _, others = tree.query(fingerprint, k=range(2, min(CANDIDATES, tree.n) + 1))
    yield from map(int, others)


class _Group(NamedTuple):
    """Structures with the same atoms, as if periodic in the same directions."""

    members: list[int]
    structures: list[Atoms]
    tree: KDTree


def _composition(atoms: Atoms) -> bytes:
    return np.sort(atoms.numbers).tobytes()


def _can_be(atoms: Atoms, pbc: NDArray[np.bool_]) -> bool:
    """Whether a structure has all of its periodic directions among these, and vectors for them."""
    has_vector = np.abs(atoms.cell.array).sum(1) > 0.0
    return bool((atoms.pbc <= pbc).all() and (pbc <= has_vector).all())


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
