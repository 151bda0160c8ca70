"""Unphysical frames of a walk: bias and barostat can tear a structure apart.

A frame is physical if it is finite, no two atoms overlap, and the volume is within limits. A walk
is truncated at its first unphysical frame, because the frames after it follow from that one.
"""

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray
from vesin import NeighborList

from pyubias.config.exploration import GuardConfig

__all__ = ["closest_approach", "first_unphysical"]

LARGEST_COORDINATE = 1e4  # Å; vesin would end the process where cells of its grid are too many


def closest_approach(atoms: Atoms, within: float = 1.0) -> tuple[float, int, int]:
    """The pair of atoms with the smallest distance over the sum of covalent radii.

    Args:
        atoms: periodic images count as well.
        within: largest ratio that is looked for.

    Returns:
        the ratio and the two atoms; (inf, -1, -1) if no ratio is below `within`.
    """
    radii = covalent_radii[atoms.numbers]
    cutoff = max(2.0 * within * radii.max(), 1.0)
    neighbors = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    i, j, distance = neighbors.compute(
        points=atoms.positions, box=atoms.cell.array, periodic=atoms.pbc, quantities="ijd"
    )
    if not len(i):
        return float("inf"), -1, -1
    ratio = distance / (radii[i] + radii[j])
    smallest = float(ratio.min())
    near = ratio <= smallest * (1.0 + 1e-9)
    if smallest >= within:
        return float("inf"), -1, -1
    # several pairs may be as close, and the neighbor list has no order that is promised
    first, second = min(
        (min(pair), max(pair)) for pair in zip(i[near].tolist(), j[near].tolist(), strict=True)
    )
    return smallest, first, second


def first_unphysical(
    template: Atoms,
    positions: NDArray[np.float64],
    cells: NDArray[np.float64],
    config: GuardConfig,
) -> tuple[int, str]:
    """The first unphysical frame and the reason; (number of frames, "") if there is none.

    Args:
        template: the structure that the walker started from.
        positions: (frames, n, 3), Å.
        cells: (frames, 3, 3), Å; of periodic structures.
        config: the limits.
    """
    atoms = template.copy()
    volume = template.get_volume() if template.pbc.all() else None
    for k, (x, cell) in enumerate(zip(positions, cells, strict=True)):
        if not np.isfinite(x).all() or np.abs(x).max() > LARGEST_COORDINATE:
            return k, "positions are not finite"
        atoms.positions = x
        if atoms.pbc.any():
            atoms.cell = cell
        if volume is not None:
            ratio = atoms.get_volume() / volume
            if not 1.0 / config.volume_ratio <= ratio <= config.volume_ratio:
                return k, f"the volume is {ratio:.3g} times that of the start"
        ratio, i, j = closest_approach(atoms, config.distance)
        if ratio < config.distance:
            distance = ratio * float(covalent_radii[atoms.numbers[[i, j]]].sum())
            return k, f"atoms {i + 1} and {j + 1} are {distance:.2f} Å apart"
    return len(positions), ""
