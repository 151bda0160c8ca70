"""Variance between and within the molecules of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.training.labels import ENERGY

__all__ = ["VarianceSplit", "split_variance", "variance_components", "without_composition"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class VarianceSplit:
    """Total variance = between groups + within groups; of vectors, summed over components."""

    total: float
    between: float
    within: float

    @property
    def fraction_between(self) -> float:
        """Share of the variance between groups; nan without variance."""
        return self.between / self.total if self.total > 0.0 else float("nan")


def split_variance(values: Array, groups: Sequence[object]) -> VarianceSplit:
    """Split the variance into that of group means, weighted by size, and the mean inside groups.

    Args:
        values: (n,) or (n, d).
        groups: n names.
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


def variance_components(values: Array, molecules: Sequence[object]) -> VarianceSplit:
    """Unbiased estimates of the components of variance between and within molecules.

    Analysis of variance of one factor with groups of unequal size (Searle, Casella and McCulloch,
    Variance Components (1992), section 3.6). A negative estimate counts as zero.

    Args:
        values: (n,).
        molecules: n names.
    """
    names, index = np.unique(np.array([str(m) for m in molecules]), return_inverse=True)
    n, k = len(values), len(names)
    counts = np.bincount(index)
    means = np.bincount(index, weights=values) / counts
    within = float(np.square(values - means[index]).sum()) / max(1, n - k)
    if k < 2:  # one molecule has no variance between molecules
        return VarianceSplit(within, 0.0, within)
    square = float(counts @ np.square(means - values.mean())) / (k - 1)
    size = (n - float(np.square(counts).sum()) / n) / (k - 1)
    between = max(0.0, (square - within) / size)
    return VarianceSplit(between + within, between, within)


def without_composition(frames: Sequence[Atoms], elements: Sequence[str]) -> Array:
    """Energies per atom (n,) in eV, less the part that a sum over the elements explains.

    The energies of the elements are fitted by least squares to the energies per atom.
    """
    counts = np.array([[a.get_chemical_symbols().count(e) for e in elements] for a in frames])
    energies = np.array([a.info[ENERGY] for a in frames])
    weights = 1.0 / counts.sum(1)
    solution = np.linalg.lstsq(counts * weights[:, None], energies * weights, rcond=None)[0]
    residual: Array = (energies - counts @ solution) * weights
    return residual
