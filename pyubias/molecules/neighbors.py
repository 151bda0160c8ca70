"""ASE's neighbor list, in an order that is the same on every processor."""

from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import ArrayLike, NDArray

__all__ = ["Neighbors", "find_neighbors"]


class Neighbors(NamedTuple):
    """Pairs of an atom and a neighbor, in both directions.

    Attributes:
        first: (pairs,), index of the atom.
        second: (pairs,), index of its neighbor.
        cells: (pairs, 3), whole cell vectors that lead from the neighbor to the image in the pair.
        distances: (pairs,), Å.
        vectors: (pairs, 3), Å, from the atom to its neighbor.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cells: NDArray[np.int64]
    distances: NDArray[np.float64]
    vectors: NDArray[np.float64]


def find_neighbors(atoms: Atoms, cutoff: ArrayLike) -> Neighbors:
    """Find all pairs within a cutoff, sorted by atom, neighbor and cell.

    Args:
        atoms: a structure.
        cutoff: Å; of a pair, or for each atom the radius that it adds to the cutoff of its pairs.
    """
    first, second, cells, distances, vectors = neighbor_list("ijSdD", atoms, cutoff)
    # ASE sorts by atom alone and not stably: the neighbors of an atom come in another order where
    # numpy sorts with AVX-512
    order = np.lexsort((*cells.T, second, first))
    return Neighbors(first[order], second[order], cells[order], distances[order], vectors[order])
