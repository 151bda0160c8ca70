"""Which atoms of a structure are bonded, also through the walls of a periodic cell."""

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

__all__ = ["Bonds", "find_bonds"]

Array = NDArray[np.float64]

Bonds = list[tuple[int, int]]

BOND = 1.3  # times the sum of covalent radii, within which two atoms are bonded


def find_bonds(atoms: Atoms) -> tuple[Bonds, Array] | None:
    """Bonds, each once, and positions (n, 3) in Å with no bond cut by the cell.

    None where that cannot be: bonds lead from an atom to its own image.
    """
    if not atoms.pbc.any():
        return _bonds(atoms), atoms.positions
    i, j, cells = neighbor_list("ijS", atoms, BOND * covalent_radii[atoms.numbers])
    offset = _offsets(len(atoms), i, j, cells)
    if (offset[j] != offset[i] + cells).any():
        return None
    bonds = [(int(a), int(b)) for a, b in zip(i, j, strict=True) if a < b]
    return bonds, atoms.positions + offset @ atoms.cell.array


def _bonds(atoms: Atoms) -> Bonds:
    distances = np.linalg.norm(atoms.positions[:, None] - atoms.positions, axis=-1)
    radii = covalent_radii[atoms.numbers]
    near = np.triu(distances < BOND * (radii[:, None] + radii), 1)
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(near), strict=True)]


def _offsets(
    n: int, i: NDArray[np.int64], j: NDArray[np.int64], cells: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(n, 3): by how many cells to move each atom, going along bonds sorted by their first atom."""
    ends = np.searchsorted(i, np.arange(n + 1))
    offset = np.zeros((n, 3), dtype=np.int64)
    known = np.zeros(n, dtype=bool)
    for start in range(n):
        reached = [] if known[start] else [start]
        known[start] = True
        while reached:
            here = reached.pop()
            for k in range(ends[here], ends[here + 1]):
                if not known[j[k]]:
                    known[j[k]] = True
                    offset[j[k]] = offset[here] + cells[k]
                    reached.append(int(j[k]))
    return offset
