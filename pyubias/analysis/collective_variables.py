"""Collective variables of structures, and how much of their space frames cover."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.geometry import find_mic, get_dihedrals
from numpy.typing import NDArray

from pyubias.config.schema import CollectiveVariable

__all__ = ["collective_variables", "frames_within_steps", "quadtree_coverage"]

Array = NDArray[np.float64]


def collective_variables(frames: Sequence[Atoms], variables: Sequence[CollectiveVariable]) -> Array:
    """Values of collective variables: (frames, variables).

    Dihedrals are in degrees in [-180, 180), distances in Å, volumes in Å³.
    """
    values = np.empty((len(frames), len(variables)))
    for k, variable in enumerate(variables if len(frames) else []):
        if variable.dihedral is not None:
            steps = _differences(frames, variable.dihedral)
            angles = get_dihedrals(steps[:, 0], steps[:, 1], steps[:, 2])
            values[:, k] = (angles + 180.0) % 360.0 - 180.0
        elif variable.distance is not None:
            values[:, k] = np.linalg.norm(_differences(frames, variable.distance)[:, 0], axis=1)
        else:
            values[:, k] = [atoms.get_volume() for atoms in frames]
    return values


def _differences(frames: Sequence[Atoms], chain: Sequence[int]) -> Array:
    """Vectors from each atom of a chain to the next one: (frames, atoms - 1, 3), nearest images.

    Args:
        chain: atoms, counted from 1.
    """
    indices = np.array(chain) - 1
    steps = np.diff([atoms.positions[indices] for atoms in frames], axis=1)
    for row, atoms in zip(steps, frames, strict=True):
        if atoms.pbc.any():
            row[:] = find_mic(row, atoms.cell, atoms.pbc)[0]
    return steps


def quadtree_coverage(
    points: Array, bounds: Sequence[tuple[float, float]], depth: int = 5
) -> float:
    """The visited fraction of the cells of a 2^d-tree, mean over its levels: equation (23).

    In two dimensions one point gives 0.0666, a full grid 1. Points outside the bounds do not
    count.

    Args:
        points: (n, d).
        bounds: lowest and highest value of each of the d coordinates.
    """
    points = np.asarray(points, dtype=float).reshape(-1, len(bounds))
    low = np.array([b[0] for b in bounds])
    width = np.array([b[1] - b[0] for b in bounds])
    unit = (points - low) / width
    unit = unit[((unit >= 0.0) & (unit <= 1.0)).all(1)]
    total = 0.0
    for level in range(1, depth + 1):
        cells = np.minimum((unit * 2**level).astype(int), 2**level - 1)
        total += len(np.unique(cells, axis=0)) / 2 ** (level * len(bounds))
    return total / depth


def frames_within_steps(
    walks: Sequence[Sequence[tuple[int, NDArray[np.int64]]]], budget: int
) -> list[list[NDArray[np.bool_]]]:
    """Mark the frames that belong to the first `budget` MD steps of a campaign.

    Iterations count one after the other. In the iteration in which the budget ends, all walkers
    are cut at the same time step.

    Args:
        walks: for each iteration and walker, the number of its steps and the time steps of its
            frames.
        budget: MD steps of all walkers together.

    Returns:
        for each iteration and walker, a mask over its frames.
    """
    masks: list[list[NDArray[np.bool_]]] = []
    left = budget
    for iteration in walks:
        steps = np.array([s for s, _ in iteration])
        if steps.sum() <= left:
            limit = float("inf")
            left -= int(steps.sum())
        else:
            limit = _common_limit(steps, left) if left > 0 else -1.0
            left = 0
        masks.append([timesteps <= limit for _, timesteps in iteration])
    return masks


def _common_limit(steps: NDArray[np.int64], budget: int) -> float:
    """The time step t with Σ_w min(steps_w, t) = budget."""
    ordered = np.sort(steps)
    done = 0
    for k, s in enumerate(ordered):
        rest = len(ordered) - k
        if done + rest * s >= budget:
            return float((budget - done) / rest)
        done += int(s)
    return float("inf")
