"""Geometries and labels of a structure that look wrong."""

import numpy as np
from ase import Atoms

from pyubias.molecules.neighbors import find_neighbors
from pyubias.training.labels import ENERGY, FORCES

__all__ = ["find_problems"]

MIN_DISTANCE = 0.5  # Å, between two atoms

MAX_FORCE = 50.0  # eV/Å, on an atom

MAX_NET_FORCE = 0.05  # eV/Å, on a structure without periodic cell


def find_problems(atoms: Atoms) -> list[str]:
    """One line for each problem of the geometry and of the labels; labels may be absent."""
    return [*_geometry_problems(atoms), *_label_problems(atoms)]


def _geometry_problems(atoms: Atoms) -> list[str]:
    near = find_neighbors(atoms, MIN_DISTANCE)
    if len(near.distances) == 0:
        return []
    # the first of several equally close pairs, in the order of `find_neighbors`
    k = int(near.distances.argmin())
    i, j = near.first[k] + 1, near.second[k] + 1
    return [f"atoms {i} and {j} are {near.distances[k]:.2f} Å apart"]


def _label_problems(atoms: Atoms) -> list[str]:
    energy, forces = atoms.info.get(ENERGY), atoms.arrays.get(FORCES)
    found = []
    if energy is None:
        found.append("no energy")
    elif not np.isfinite(energy):
        found.append("energy is not finite")
    if forces is None:
        return [*found, "no forces"]
    if not np.isfinite(forces).all():
        return [*found, "forces are not finite"]
    largest = float(np.linalg.norm(forces, axis=1).max(initial=0.0))
    if largest > MAX_FORCE:
        found.append(f"|F| = {largest:.3g} eV/Å")
    net = float(np.linalg.norm(forces.sum(0)))
    if net > MAX_NET_FORCE and not atoms.pbc.any():
        found.append(f"net force {net:.3g} eV/Å")
    return found
