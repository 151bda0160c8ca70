"""Which atoms of a structure are bonded, also through the walls of a periodic cell."""

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from pyubias.molecules.neighbors import Neighbors, find_neighbors

__all__ = ["Bonds", "find_bonds"]

Array = NDArray[np.float64]

Bonds = list[tuple[int, int]]

BOND_FACTOR = 1.3  # two atoms are bonded within this many sums of their covalent radii


def find_bonds(atoms: Atoms) -> tuple[Bonds, Array] | None:
    """Find the bonds, and positions with no bond cut by the cell.

    Returns:
        sorted pairs (i, j) of bonded atoms with i < j, and positions (n, 3) in Å; None for a
        structure whose bonds lead from an atom to its own image, such as a crystal.
    """
    if not atoms.pbc.any():
        return _bonds(atoms), atoms.positions
    near = find_neighbors(atoms, BOND_FACTOR * covalent_radii[atoms.numbers])
    offset = _offsets(len(atoms), near)
    if (offset[near.second] != offset[near.first] + near.cells).any():
        return None
    pairs = zip(near.first.tolist(), near.second.tolist(), strict=True)
    return [(i, j) for i, j in pairs if i < j], atoms.positions + offset @ atoms.cell.array


def _bonds(atoms: Atoms) -> Bonds:
    distances = np.linalg.norm(atoms.positions[:, None] - atoms.positions, axis=-1)
    radii = covalent_radii[atoms.numbers]
    near = np.triu(distances < BOND_FACTOR * (radii[:, None] + radii), 1)
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(near), strict=True)]


def _offsets(n: int, bonded: Neighbors) -> NDArray[np.int64]:
    """Number of cells (n, 3) by which each atom moves so that it joins the first of its molecule.

    Cells are summed along paths of bonds. In a crystal, two paths to an atom have different sums,
    and the offsets do not fit all bonds.
    """
    first, second = bonded.first, bonded.second
    graph = csr_array((np.ones(len(first)), (first, second)), shape=(n, n))
    starts = np.unique(connected_components(graph)[1], return_index=True)[1]
    # node n leads to the first atom of every molecule, so that one traversal reaches all atoms
    first = np.concatenate([first, np.full(len(starts), n)])
    second = np.concatenate([second, starts])
    graph = csr_array((np.ones(len(first)), (first, second)), shape=(n + 1, n + 1))
    order, before = breadth_first_order(graph, n)
    before = before.astype(np.int64)
    bonds = np.searchsorted(first * (n + 1) + second, before * (n + 1) + np.arange(n + 1))
    offset = np.zeros((n, 3), dtype=np.int64)
    for atom in order[1 + len(starts) :]:
        offset[atom] = offset[before[atom]] + bonded.cells[bonds[atom]]
    return offset
