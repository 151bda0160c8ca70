"""Coordination numbers with a smooth switching function."""

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from numpy.typing import NDArray

from pyubias.config.collective_variables import CoordinationNumber

__all__ = ["coordination_number", "switching"]

Array = NDArray[np.float64]


def switching(distances: Array, r0: float, n: int, m: int) -> Array:
    """How much neighbors at some distances count: (1 - (r/r0)^n)/(1 - (r/r0)^m).

    It is n/m at r0, and decays as r^(n - m). The form is that of Iannuzzi, Laio and Parrinello,
    *Phys. Rev. Lett.* **90**, 238302 (2003).

    Args:
        distances: r, in Å, of any shape.
        r0: in Å.
        n: exponent of the numerator.
        m: exponent of the denominator, larger than n.
    """
    with np.errstate(divide="ignore"):
        t = np.log(np.asarray(distances, dtype=float) / r0)
    # 1 - exp(n t) by its own function is exact near r0, and exp(-|t|) does not overflow
    numerator, denominator = np.expm1(-n * np.abs(t)), np.expm1(-m * np.abs(t))
    ratio = np.full(t.shape, n / m)
    np.divide(numerator, denominator, out=ratio, where=denominator != 0.0)
    return np.asarray(ratio * np.exp(np.minimum((n - m) * t, 0.0)))


def coordination_number(atoms: Atoms, settings: CoordinationNumber) -> float:
    """The mean over `settings.atoms` of the sum of `switching` over `settings.neighbors`.

    A neighbor counts at its nearest image, and an atom is no neighbor of itself.
    """
    centres, neighbors = _group(atoms, settings.atoms), _group(atoms, settings.neighbors)
    vectors = atoms.positions[neighbors][None] - atoms.positions[centres][:, None]
    lengths = np.linalg.norm(vectors, axis=2)
    if atoms.pbc.any():
        lengths = find_mic(vectors.reshape(-1, 3), atoms.cell, atoms.pbc)[1].reshape(lengths.shape)
    counts = switching(lengths, settings.r0, settings.n, settings.m)
    counts[centres[:, None] == neighbors[None]] = 0.0
    return float(counts.sum() / len(centres))


def _group(atoms: Atoms, group: list[int] | str) -> NDArray[np.int64]:
    """Indices of atoms that are listed, counted from 1, or have a chemical symbol."""
    if isinstance(group, str):
        return np.flatnonzero(np.array(atoms.get_chemical_symbols()) == group)
    return np.array(group) - 1
