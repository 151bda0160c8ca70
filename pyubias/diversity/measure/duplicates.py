"""Duplicates among the geometries of one molecule."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["DUPLICATE_RMSD", "find_duplicates"]

Array = NDArray[np.float64]

DUPLICATE_RMSD = 1e-3  # Å, root mean square difference of the distances of duplicates, at most

N_DIRECTIONS = 8  # singular vectors that geometries are projected onto

SVD_SAMPLE = 200  # geometries that the singular vectors are computed from

MAX_DIFFERENCES = 5_000_000  # differences of distances that are in memory at once


def find_duplicates(shapes: Array) -> list[tuple[int, int]]:
    """Pair each row that has earlier duplicates with the nearest of them.

    The root mean square difference of two duplicates is below `DUPLICATE_RMSD`. Rows that agree to
    1e-6 Å are paired first. The other rows are projected onto the leading singular vectors of a
    sample. The distance between two projections is a lower bound of the distance between the rows,
    so that a KD-tree of the projections finds all candidates.

    Args:
        shapes: (geometries, pairs of atoms), Å, see `geometry.shape`.

    Returns:
        (row, earlier row), sorted.
    """
    columns = shapes.shape[1]
    if columns == 0:  # all geometries of a single atom are one
        return [(k, 0) for k in range(1, len(shapes))]
    _, first, kind = np.unique(np.round(shapes, 6), axis=0, return_index=True, return_inverse=True)
    earliest = first[kind.ravel()]
    found = {k: int(earliest[k]) for k in range(len(shapes)) if earliest[k] < k}
    rows = np.sort(first)
    sample = shapes[rows[:: -(-len(rows) // SVD_SAMPLE)]]
    directions = np.linalg.svd(sample - sample.mean(0), full_matrices=False)[2][:N_DIRECTIONS]
    tree = cKDTree(shapes[rows] @ directions.T)
    pairs = rows[tree.query_pairs(DUPLICATE_RMSD * np.sqrt(columns), output_type="ndarray")]
    # a tie goes to the earliest row, whatever order the tree has
    pairs = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
    nearest: dict[int, float] = {}
    for chunk in np.split(pairs, range(0, len(pairs), max(1, MAX_DIFFERENCES // columns))[1:]):
        squared = np.square(shapes[chunk[:, 1]] - shapes[chunk[:, 0]]).sum(1) / columns
        for (j, k), d in zip(chunk.tolist(), squared.tolist(), strict=True):
            if d < min(DUPLICATE_RMSD**2, nearest.get(k, np.inf)):
                nearest[k], found[k] = d, j
    return sorted(found.items())
