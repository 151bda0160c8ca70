"""Volumes of walkers, and errors over the volume."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.lammps.walk import Walk

__all__ = ["is_periodic", "rmse_by_volume", "volumes"]

Array = NDArray[np.float64]


def is_periodic(walks: Sequence[Walk]) -> bool:
    """Whether any walk has frames in a cell that is periodic in all directions."""
    return any(len(w.cells) > 0 and w.pbc.all() for w in walks)


def volumes(walk: Walk) -> Array:
    """Volumes of the cells of a walk: (frames,), Å³."""
    return np.abs(np.linalg.det(walk.cells)) if len(walk.cells) else np.zeros(0)


def rmse_by_volume(
    residuals: Sequence[tuple[Atoms, Array]], n_bins: int = 8
) -> tuple[Array, Array]:
    """Root mean square residual over volume.

    Args:
        residuals: fully periodic structures, each with any number of residuals.
        n_bins: intervals of equal width between the smallest and the largest volume.

    Returns:
        centres of the intervals in Å³ per atom, and the errors; nan in intervals without a frame.
    """
    per_atom = np.array([atoms.get_volume() / len(atoms) for atoms, _ in residuals])
    edges = np.linspace(per_atom.min(), per_atom.max(), n_bins + 1)
    chosen = np.clip(np.digitize(per_atom, edges) - 1, 0, n_bins - 1)
    rmse = np.full(n_bins, np.nan)
    for k in range(n_bins):
        inside = [np.ravel(r) for (_, r), c in zip(residuals, chosen, strict=True) if c == k]
        if inside:
            rmse[k] = np.sqrt(np.mean(np.square(np.concatenate(inside))))
    return 0.5 * (edges[:-1] + edges[1:]), rmse
