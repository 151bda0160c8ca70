"""References that need larger cells than the frames have."""

import math

import numpy as np
from ase import Atoms

from pyubias.reference.label import Reference, ReferenceMethodError
from pyubias.training.labels import Label

__all__ = ["of_supercell"]


def of_supercell(method: Reference, supercell: tuple[int, int, int]) -> Reference:
    """The method itself if one copy is enough, else one that repeats each frame."""
    return method if supercell == (1, 1, 1) else SupercellMethod(method, supercell)


class SupercellMethod:
    """Labels a frame with another method, which sees copies of the cell side by side."""

    def __init__(self, method: Reference, supercell: tuple[int, int, int]) -> None:
        self.method = method
        self.max_force = method.max_force
        self.supercell = supercell

    def __call__(self, atoms: Atoms) -> Label:
        if not all(atoms.pbc[np.array(self.supercell) > 1]):
            raise ReferenceMethodError(
                f"reference.supercell {list(self.supercell)} repeats a direction that is not "
                f"periodic in the structure (pbc {atoms.pbc.tolist()})"
            )
        try:
            label = self.method(atoms.repeat(self.supercell))
        except ReferenceMethodError as error:
            raise ReferenceMethodError(
                f"{error} (the structure has {len(atoms)} atoms, repeated by reference.supercell "
                f"{list(self.supercell)})"
            ) from error
        energy = label.energy / math.prod(self.supercell)
        return Label(energy, label.forces[: len(atoms)], label.stress)
