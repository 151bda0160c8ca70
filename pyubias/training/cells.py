"""Structures inside a box of LAMMPS: three vectors, right-handed, around all atoms.

The process of a LAMMPS reference imports this module, and must not wait for torch.
"""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

__all__ = ["complete_cell", "in_box", "right_handed"]

# Å: atoms nearer to a wall of a box in a direction that is not periodic are moved away from it
NEAR_WALL = 1.0
MARGIN = 5.0  # Å, between such atoms and the walls


def right_handed(atoms: Atoms) -> Atoms:
    """The structure with a right-handed cell, as LAMMPS wants.

    A left-handed cell gets one periodic vector with the opposite sign, which spans the same
    lattice. Turned into LAMMPS' frame as it is, the structure would become its mirror image.
    """
    if atoms.cell.rank < 3 or np.linalg.det(atoms.cell.array) > 0.0:
        return atoms
    result = atoms.copy()
    axis = int(np.argmax(atoms.pbc))
    cell = atoms.cell.array.copy()
    cell[axis] *= -1.0
    result.set_cell(cell)
    return result


def in_box(atoms: Atoms) -> Atoms:
    """A structure that is periodic in one or two directions, inside a box of LAMMPS.

    A box has three vectors, LAMMPS allows no tilt along a direction that is not periodic, and
    atoms outside of the box are lost. Atoms that are outside or near a wall are moved as a whole,
    and the box grows where they need it. Other structures are returned as they are.
    """
    if atoms.pbc.all() or not atoms.pbc.any():
        return atoms
    cell = complete_cell(atoms)
    positions = atoms.positions.copy()
    for axis in np.flatnonzero(~atoms.pbc):
        unit = cell[axis] / np.linalg.norm(cell[axis])
        height = float(atoms.cell[axis] @ unit)
        along = positions @ unit
        low, high = float(along.min()), float(along.max())
        if low < NEAR_WALL or high > height - NEAR_WALL:
            height = max(height, high - low + 2.0 * MARGIN)
            positions += (0.5 * (height - low - high)) * unit
        cell[axis] = height * unit
    if np.allclose(cell, atoms.cell.array, rtol=0, atol=1e-12) and np.array_equal(
        positions, atoms.positions
    ):
        return atoms
    result = atoms.copy()
    result.set_cell(cell)
    result.positions[:] = positions
    return result


def complete_cell(atoms: Atoms) -> NDArray[np.float64]:
    """Cell vectors (3, 3), Å, right-handed if the periodic ones allow it.

    Vectors of directions that are not periodic are orthogonal to all others, on the side of the
    given vector if there is one, and of unit length.
    """
    cell = atoms.cell.array.copy()
    known = [cell[k] for k in np.flatnonzero(atoms.pbc)]
    for axis in np.flatnonzero(~atoms.pbc):
        candidates = [cell[axis], *np.roll(np.eye(3), -axis, axis=0)]
        for candidate in candidates:
            rest = candidate
            if known:
                basis = np.linalg.qr(np.transpose(known))[0]
                rest = candidate - basis @ (basis.T @ candidate)
            length = float(np.linalg.norm(rest))
            if length > 1e-3 * max(1.0, float(np.linalg.norm(candidate))):
                break
        cell[axis] = rest / length
        known.append(cell[axis])
    return cell
