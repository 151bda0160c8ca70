"""Numbers for diversity, as pure functions of counts, kernels, vectors and groups.

None of them changes when every member of a set is there twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "VarianceSplit",
    "effective_conformers",
    "environment_entropy",
    "hill_number",
    "split_variance",
    "stride_for",
    "torsion_coverage",
    "vendi_score",
    "without_composition",
]

Array = NDArray[np.float64]
BLOCK = 500  # rows of a kernel that are held at once
MOST = 4000  # distinct rows that enter a kernel


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

    Args:
        shapes: (n, m), interatomic distances in Å, comparable column by column.
        resolution: h in Å; d is the root mean square difference over the columns.
    """
    if len(shapes) == 0:
        return 0.0
    unique, counts = _distinct(np.round(shapes, 6))
    squared = _squared_distances(unique, unique) / max(1, unique.shape[1])
    weights = np.sqrt(counts / counts.sum())
    # the eigenvalues of K/n are those of the kernel of unique rows, weighted by how often they are
    weighted = weights[:, None] * np.exp(-squared / (2.0 * resolution**2)) * weights
    eigenvalues = np.linalg.eigvalsh(weighted)
    return hill_number(np.where(eigenvalues > 1e-12, eigenvalues, 0.0))


def torsion_coverage(angles: Array, bins: int = 12) -> float:
    """Fraction of equal bins of each torsion that are visited, mean over the torsions.

    Args:
        angles: (n, torsions), degrees.
        bins: of 360°.

    Returns:
        nan without torsions.
    """
    if angles.size == 0:
        return float("nan")
    visited = np.floor((angles % 360.0) / (360.0 / bins)).astype(int) % bins
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
    et al., Nat. Commun. 16, 4014 (2025).

    Args:
        environments: (n, d).
        bandwidth: h.
    """
    if len(environments) == 0:
        return 0.0
    unique, counts = _distinct(environments)
    weights = counts / counts.sum()
    density = np.empty(len(unique))
    for first in range(0, len(unique), BLOCK):
        rows = slice(first, first + BLOCK)
        squared = _squared_distances(unique[rows], unique)
        density[rows] = np.exp(-squared / (2.0 * bandwidth**2)) @ weights
    return float(-np.sum(weights * np.log(density)))


def _distinct(rows: Array) -> tuple[Array, NDArray[np.int64]]:
    """Distinct rows in sorted order and how often each occurs; at most `MOST`, evenly spread."""
    unique, counts = np.unique(rows, axis=0, return_counts=True)
    stride = stride_for(len(unique), MOST)
    return unique[::stride], counts[::stride]


def stride_for(n: int, most: int) -> int:
    """The stride with which no more than `most` of n items are taken."""
    return max(1, -(-n // most))


def _squared_distances(a: Array, b: Array) -> Array:
    squared = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2.0 * a @ b.T
    return np.maximum(squared, 0.0)
