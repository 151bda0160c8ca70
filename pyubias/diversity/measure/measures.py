"""Numbers for diversity, as pure functions of counts, kernels and vectors.

None of them changes when every member of a set occurs twice. Equation numbers are those of
``pyubias/README.md``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "MAX_COMPARED",
    "distinct_shapes",
    "effective_conformers",
    "environment_entropy",
    "hill_number",
    "systematic_sample",
    "torsion_coverage",
    "vendi_score",
]

Array = NDArray[np.float64]

BLOCK = 1000  # rows and columns of a kernel that are in memory at once

MAX_COMPARED = 4000  # geometries compared with each other, or environments averaged over


def hill_number(counts: ArrayLike, order: float = 1.0) -> float:
    """Effective number of kinds, equation (27): (Σ p^q)^(1/(1-q)), for q = 1 exp(-Σ p log p).

    Hill, Ecology 54, 427 (1973).

    Args:
        counts: number of members of each kind; their shares are p.
        order: q.
    """
    p = np.asarray(counts, dtype=float)
    if len(p) == 0 or p.sum() <= 0.0:
        return 0.0
    p = p[p > 0.0] / p.sum()
    if abs(order - 1.0) < 1e-9:
        return float(np.exp(-np.sum(p * np.log(p))))
    return float(np.sum(p**order) ** (1.0 / (1.0 - order)))


def vendi_score(kernel: Array, order: float = 1.0) -> float:
    """Effective number of different members, equation (27) with the eigenvalues of K/n as shares.

    Friedman and Dieng, Trans. Mach. Learn. Res. (2023).

    Args:
        kernel: K, (n, n), positive semidefinite with ones on the diagonal.
        order: q.
    """
    if len(kernel) == 0:
        return 0.0
    return hill_number(_eigenvalues(kernel / len(kernel)), order)


def effective_conformers(shapes: Array, resolution: float) -> float:
    """Vendi score of geometries with the kernel exp(-d²/2h²), between 1 and their number.

    With more than `MAX_COMPARED` distinct geometries, it is the score of a systematic sample.

    Args:
        shapes: (n, m), interatomic distances in Å, comparable column by column.
        resolution: h in Å; d is the root mean square difference over the columns.
    """
    if len(shapes) == 0:
        return 0.0
    unique, counts = distinct_shapes(shapes)
    chosen, shares = systematic_sample(counts, MAX_COMPARED)
    unique, weights = unique[chosen], np.sqrt(shares)
    squared = _squared_distances(unique, unique) / max(1, unique.shape[1])
    # K/n of all geometries has the eigenvalues of the kernel of the distinct ones with each entry
    # times √(share · share'), and zeros
    weighted = weights[:, None] * np.exp(-squared / (2.0 * resolution**2)) * weights
    return hill_number(_eigenvalues(weighted))


def _eigenvalues(kernel: Array) -> Array:
    values = np.linalg.eigvalsh(kernel)
    # rounding leaves eigenvalues of zero a little above or below it
    return np.where(values > 1e-12, values, 0.0)


def distinct_shapes(shapes: Array) -> tuple[Array, NDArray[np.int64]]:
    """Sorted shapes that differ by more than 1e-6 Å, and the number of times each occurs."""
    unique, counts = np.unique(np.round(shapes, 6), axis=0, return_counts=True)
    return unique, counts


def torsion_coverage(angles: Array, bins: int = 12) -> float:
    """Fraction of the bins of each torsion that are visited, mean over the torsions.

    An angle and its negative, which mirror images have, count as one.

    Args:
        angles: (n, torsions), degrees.
        bins: number of equal bins of 180°.

    Returns:
        the fraction; nan without torsions.
    """
    if angles.size == 0:
        return float("nan")
    folded = np.abs((angles + 180.0) % 360.0 - 180.0)
    visited = np.minimum(np.floor(folded / (180.0 / bins)).astype(int), bins - 1)
    return float(np.mean([len(np.unique(column)) / bins for column in visited.T]))


def environment_entropy(environments: Array, bandwidth: float) -> float:
    """Entropy of atomic environments in nats, equation (28).

        S = -(1/n) Σ_i log (1/n) Σ_j exp(-|x_i - x_j|²/2h²)

    It is zero if all environments are equal, and log n if all differ by more than the bandwidth;
    Schwalbe-Koda et al., Nat. Commun. 16, 4014 (2025). The sum over j has all environments. The sum
    over i has a systematic sample of at most `MAX_COMPARED`, so that the time grows as n. The
    kernel is computed in blocks, a few of which are in memory at once.

    Args:
        environments: x, (n, d).
        bandwidth: h.
    """
    if len(environments) == 0:
        return 0.0
    unique, counts = np.unique(environments, axis=0, return_counts=True)
    chosen, shares = systematic_sample(counts, MAX_COMPARED)
    weights = counts / counts.sum()
    density = np.zeros(len(chosen))
    for first in range(0, len(chosen), BLOCK):
        rows = slice(first, first + BLOCK)
        for start in range(0, len(unique), BLOCK):
            columns = slice(start, start + BLOCK)
            squared = _squared_distances(unique[chosen[rows]], unique[columns])
            density[rows] += np.exp(-squared / (2.0 * bandwidth**2)) @ weights[columns]
    return float(-np.sum(shares * np.log(density)))


def systematic_sample(counts: ArrayLike, size: int) -> tuple[NDArray[np.int64], Array]:
    """Weighted systematic sample of at most `size` of n kinds.

    Kinds are drawn at equal steps along the cumulative counts, so that each is drawn in proportion
    to its count; a kind may be drawn more than once. With n up to `size`, all kinds are taken.

    Args:
        counts: (n,), number of members of each kind.
        size: number of draws.

    Returns:
        the indices of the kinds drawn, and the share of the whole set that each stands for.
    """
    counts = np.asarray(counts, dtype=np.int64)
    if len(counts) <= size:
        return np.arange(len(counts)), counts / max(1, counts.sum())
    # integers, so that twice the counts give exactly the same sample
    places = (2 * np.arange(size) + 1) * counts.sum()
    picked = np.searchsorted(2 * size * np.cumsum(counts), places, side="right")
    chosen, times = np.unique(picked, return_counts=True)
    return chosen, times / size


def _squared_distances(a: Array, b: Array) -> Array:
    squared = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2.0 * a @ b.T
    return np.maximum(squared, 0.0)
