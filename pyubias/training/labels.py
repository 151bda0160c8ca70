"""The names of labels, and the labels of one structure.

Inside the package a labelled structure is an ASE `Atoms` with the entries named here. Forces and
stress may be absent. The energy must be there.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

__all__ = ["ENERGY", "FORCES", "MAX_ENERGY", "STRESS", "Label", "check_labels", "hash_frames"]

# in Atoms.info: eV
ENERGY = "REF_energy"
# in Atoms.arrays: (n, 3), eV/Å
FORCES = "REF_forces"
# in Atoms.info: (6,), eV/Å³, ASE's sign and Voigt order, fully periodic structures only
STRESS = "REF_stress"

# beyond these, labels have other units or are no labels: eV per atom, eV/Å, eV/Å³ (3 TPa)
MAX_ENERGY, MAX_FORCE, MAX_STRESS = 1e7, 1e4, 20.0


@dataclass(frozen=True)
class Label:
    """The labels of one structure.

    Attributes:
        energy: eV.
        forces: (n, 3), eV/Å.
        stress: (6,), eV/Å³, ASE's sign and Voigt order; None unless fully periodic.
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None

    def attach_to(self, atoms: Atoms) -> None:
        """Store the labels in a structure under the names of this module."""
        atoms.info[ENERGY] = self.energy
        atoms.arrays[FORCES] = self.forces
        if self.stress is not None:
            atoms.info[STRESS] = self.stress


def check_labels(atoms: Atoms) -> str | None:
    """What is wrong with the labels of a structure, as the end of a sentence; None if nothing.

    Components of forces and stress that are nan are unknown, which is nothing wrong.
    """
    energy = atoms.info.get(ENERGY, 0.0)
    if not np.isfinite(energy):
        return f"has an energy that is not finite, {energy}"
    if abs(energy) > MAX_ENERGY * max(1, len(atoms)):
        return f"has an energy beyond reason, {energy:.4g} eV for {len(atoms)} atoms"
    for name, unit, limit, values in (
        ("force", "eV/Å", MAX_FORCE, atoms.arrays.get(FORCES)),
        ("stress", "eV/Å³", MAX_STRESS, atoms.info.get(STRESS)),
    ):
        if values is None or np.isnan(values).all():
            continue
        largest = float(np.nanmax(np.abs(values)))
        if not np.isfinite(largest):
            return f"has a {name} that is not finite"
        if largest > limit:
            return f"has a {name} beyond reason, {largest:.4g} {unit}; is it in other units?"
    return None


def hash_frames(frames: Sequence[Atoms]) -> str:
    """Hash of all structures and labels, twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for atoms in frames:
        digest.update(atoms.numbers.tobytes())
        digest.update(np.ascontiguousarray(atoms.positions).tobytes())
        digest.update(np.ascontiguousarray(atoms.cell.array).tobytes())
        digest.update(atoms.pbc.tobytes())
        digest.update(repr(atoms.info.get(ENERGY)).encode())
        for label in (atoms.arrays.get(FORCES), atoms.info.get(STRESS)):
            digest.update(b"none" if label is None else np.ascontiguousarray(label).tobytes())
    return digest.hexdigest()[:12]
