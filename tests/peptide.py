"""Conformations of alanine dipeptide for the tests."""

from collections.abc import Iterator

import numpy as np
from ase import Atoms

PHI, PSI = (4, 6, 8, 14), (6, 8, 14, 16)


def conformations(start: Atoms, count: int) -> Iterator[Atoms]:
    """Yields start turned to random (phi, psi) and then rattled by 0.05 A."""
    rng = np.random.default_rng(7)
    for _ in range(count):
        atoms = start.copy()
        phi, psi = rng.uniform(-180.0, 180.0, 2)
        atoms.set_dihedral(*PHI, phi, indices=range(9, 22))
        atoms.set_dihedral(*PSI, psi, indices=range(15, 22))
        atoms.rattle(0.05, rng=rng)
        yield atoms
