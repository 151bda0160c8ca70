"""Isolated atoms in data sets, which hold the energy of an atom without neighbors."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from pyubias.errors import UserError
from pyubias.training.labels import ENERGY

__all__ = ["check_isolated", "is_isolated", "without_images"]


def is_isolated(atoms: Atoms, cutoff: float) -> bool:
    """Whether a structure is one atom that is called isolated or has no neighbor.

    Args:
        atoms: called isolated by ``config_type`` in its info, as GAP and MACE do.
        cutoff: Å.
    """
    if len(atoms) != 1:
        return False
    named = str(atoms.info.get("config_type", "")).lower().replace("_", "") == "isolatedatom"
    if named or not atoms.pbc.any():
        return True
    cell = atoms.cell.array[atoms.pbc]
    # with vectors far from orthogonal, a sum of two may be the shortest one
    steps = np.array(list(np.ndindex(*[5] * len(cell)))) - 2
    lengths = np.linalg.norm(steps @ cell, axis=1)
    return bool(lengths[steps.any(axis=1)].min() >= cutoff)


def without_images(atoms: Atoms) -> Atoms:
    """A copy of an isolated atom without periodic images of itself."""
    copy = atoms.copy()
    copy.pbc = False
    return copy


def check_isolated(frames: Sequence[Atoms]) -> None:
    """Refuse isolated atoms of one element with different energies.

    Raises:
        UserError: with the element and the energies.
    """
    energies: dict[str, float] = {}
    for atoms in frames:
        (symbol,) = atoms.get_chemical_symbols()
        energy = float(atoms.info[ENERGY])
        if abs(energies.setdefault(symbol, energy) - energy) > 1e-3:
            raise UserError(
                f"isolated atoms of {symbol} have the energies {energies[symbol]:g} and "
                f"{energy:g} eV; keep the one to which the other energies belong"
            )
