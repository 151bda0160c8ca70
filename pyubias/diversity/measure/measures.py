"""Numbers for diversity, as pure functions of counts, kernels, vectors and groups.

None of them changes when every member of a set is there twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "MOST",
    "VarianceSplit",
    "distinct_shapes",
    "effective_conformers",
    "environment_entropy",
    "hill_number",
    "split_variance",
    "spread",
    "torsion_coverage",
    "variance_components",
    "vendi_score",
    "without_composition",
]

Array = NDArray[np.float64]

BLOCK = 1000  # rows and columns of a kernel that are held at once

MOST = 4000  # geometries that are compared with each other, environments that are averaged over


def hill_number(counts: ArrayLike, order: float = 1.0) -> float:
    """Effective number of kinds, (Σ p^q)^(1/(1-q)); for q = 1 the exponential of the entropy.

    Hill, Ecology 54, 427 (1973).

    Args:
        counts: how often each kind occurs.
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
    """Effective number of different members: the Hill number of the eigenvalues of K/n.

    Friedman and Dieng, Trans. Mach. Learn. Res. (2023).

    Args:
        kernel: (n, n), positive semidefinite, ones on the diagonal.
        order: q.
    """
    if len(kernel) == 0:
        return 0.0
    eigenvalues = np.linalg.eigvalsh(kernel / len(kernel))
    # rounding leaves eigenvalues of zero a little above or below it
    return hill_number(np.where(eigenvalues > 1e-12, eigenvalues, 0.0), order)


def effective_conformers(shapes: Array, resolution: float) -> float:
    """Vendi score of geometries with the kernel exp(-d²/2h²): 1 for one, at most n for n.

    Of more than `MOST` distinct geometries it is that of so many, evenly spread.

    Args:
        shapes: (n, m), interatomic distances in Å, comparable column by column.
        resolution: h in Å; d is the root mean square difference over the columns.
    """
    if len(shapes) == 0:
        return 0.0
    unique, counts = distinct_shapes(shapes)
    chosen, shares = spread(counts, MOST)
    unique, weights = unique[chosen], np.sqrt(shares)
    squared = _squared_distances(unique, unique) / max(1, unique.shape[1])
    # the eigenvalues of K/n are those of the kernel of unique rows, weighted by how often they are
    weighted = weights[:, None] * np.exp(-squared / (2.0 * resolution**2)) * weights
    eigenvalues = np.linalg.eigvalsh(weighted)
    return hill_number(np.where(eigenvalues > 1e-12, eigenvalues, 0.0))


def distinct_shapes(shapes: Array) -> tuple[Array, NDArray[np.int64]]:
    """Shapes that differ by more than 1e-6 Å, in sorted order, and how often each occurs."""
    unique, counts = np.unique(np.round(shapes, 6), axis=0, return_counts=True)
    return unique, counts


def torsion_coverage(angles: Array, bins: int = 12) -> float:
    """Fraction of equal bins of each torsion that are visited, mean over the torsions.

    An angle and its negative, which mirror images have, count as one.

    Args:
        angles: (n, torsions), degrees.
        bins: of 180°.

    Returns:
        nan without torsions.
    """
    if angles.size == 0:
        return float("nan")
    folded = np.abs((angles + 180.0) % 360.0 - 180.0)
    visited = np.minimum(np.floor(folded / (180.0 / bins)).astype(int), bins - 1)
    return float(np.mean([len(np.unique(column)) / bins for column in visited.T]))


@dataclass(frozen=True)
class VarianceSplit:
    """Total variance = between groups + within groups; of vectors, summed over components."""

    total: float
    between: float
    within: float

    @property
    def fraction_between(self) -> float:
        return self.between / self.total if self.total > 0.0 else float("nan")


def split_variance(values: Array, groups: Sequence[object]) -> VarianceSplit:
    """Variance of group means, weighted by size, and mean variance inside the groups.

    Args:
        values: (n,) or (n, d).
        groups: n labels.
    """
    values = np.asarray(values, dtype=float).reshape(len(groups), -1)
    names: dict[object, int] = {}
    index = np.array([names.setdefault(g, len(names)) for g in groups], dtype=np.int64)
    counts = np.bincount(index)
    means = np.zeros((len(counts), values.shape[1]))
    np.add.at(means, index, values)
    means /= counts[:, None]
    within = float(np.square(values - means[index]).sum(1).mean())
    between = float(np.square(means[index] - values.mean(0)).sum(1).mean())
    return VarianceSplit(within + between, between, within)


def without_composition(frames: Sequence[Atoms], elements: Sequence[str]) -> Array:
    """Energies per atom in eV less the best sum of energies of elements, (n,)."""
    counts = np.array([[a.get_chemical_symbols().count(e) for e in elements] for a in frames])
    energies = np.array([a.info["REF_energy"] for a in frames])
    weights = 1.0 / counts.sum(1)
    solution = np.linalg.lstsq(counts * weights[:, None], energies * weights, rcond=None)[0]
    residual: Array = (energies - counts @ solution) * weights
    return residual


def environment_entropy(environments: Array, bandwidth: float) -> float:
    """-(1/n) Σ_i log (1/n) Σ_j exp(-|x_i - x_j|²/2h²), in nats.

    Zero if all environments are one, log n if all differ by more than the bandwidth; Schwalbe-Koda
    et al., Nat. Commun. 16, 4014 (2025). The sum over j has all environments, that over i at most
    `MOST`, evenly spread, so that time grows as n; memory is that of a few blocks of the kernel.

    Args:
        environments: (n, d).
        bandwidth: h.
    """
    if len(environments) == 0:
        return 0.0
    unique, counts = np.unique(environments, axis=0, return_counts=True)
    chosen, shares = spread(counts, MOST)
    weights = counts / counts.sum()
    density = np.zeros(len(chosen))
    for first in range(0, len(chosen), BLOCK):
        rows = slice(first, first + BLOCK)
        for start in range(0, len(unique), BLOCK):
            columns = slice(start, start + BLOCK)
            squared = _squared_distances(unique[chosen[rows]], unique[columns])
            density[rows] += np.exp(-squared / (2.0 * bandwidth**2)) @ weights[columns]
    return float(-np.sum(shares * np.log(density)))


def spread(counts: ArrayLike, most: int) -> tuple[NDArray[np.int64], Array]:
    """At most `most` of n kinds, and the share that each stands for.

    All kinds where there are no more; else those at evenly spaced places of the row in which every
    kind stands as often as it occurs.

    Args:
        counts: (n,), how often each kind occurs.
        most: how many kinds to take.
    """
    counts = np.asarray(counts, dtype=np.int64)
    if len(counts) <= most:
        return np.arange(len(counts)), counts / max(1, counts.sum())
    # in integers, so that doubling all counts moves nothing
    places = (2 * np.arange(most) + 1) * counts.sum()
    picked = np.searchsorted(2 * most * np.cumsum(counts), places, side="right")
    chosen, times = np.unique(picked, return_counts=True)
    return chosen, times / most


def _squared_distances(a: Array, b: Array) -> Array:
    squared = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2.0 * a @ b.T
    return np.maximum(squared, 0.0)


def variance_components(values: Array, molecules: Sequence[object]) -> VarianceSplit:
    """Components of variance between and within molecules, estimated without bias.

    By analysis of variance of one factor with groups of unequal size (Searle, Casella and
    McCulloch, Variance Components (1992), section 3.6). A negative component counts as zero.

    Args:
        values: (n,).
        molecules: n labels.
    """
    names, index = np.unique(np.array([str(m) for m in molecules]), return_inverse=True)
    n, k = len(values), len(names)
    counts = np.bincount(index)
    means = np.bincount(index, weights=values) / counts
    within = float(np.square(values - means[index]).sum()) / max(1, n - k)
    if k < 2:
        return VarianceSplit(within, 0.0, within)
    square = float(counts @ np.square(means - values.mean())) / (k - 1)
    size = (n - float(np.square(counts).sum()) / n) / (k - 1)
    between = max(0.0, (square - within) / size)
    return VarianceSplit(between + within, between, within)
