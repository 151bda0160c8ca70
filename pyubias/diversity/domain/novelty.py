"""How new a structure is to a training set, on both levels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from pyubias.diversity.measure.census import Census
from pyubias.molecules.fingerprints import similarities
from pyubias.molecules.geometry import shape
from pyubias.molecules.identity import in_order

__all__ = ["Novelty", "novelty"]


@dataclass(frozen=True)
class Novelty:
    """How new a structure is to a training set.

    Attributes:
        molecule: name of the molecule.
        seen: whether the training set has the molecule.
        structural: 1 - largest Tanimoto similarity with a molecule of the training set, 0 to 1.
        conformational: Å, root mean square difference of distances from the nearest geometry of
            the same molecule; None for a molecule that was not seen, and
            for periodic structures.
    """

    molecule: str
    seen: bool
    structural: float
    conformational: float | None


def novelty(frames: Sequence[Atoms], training: Census) -> list[Novelty]:
    """Of each structure against the census of a training set."""
    known = {g.molecule.key: g for g in training.groups}
    placed = [in_order(atoms) for atoms in frames]
    known_bits = [g.molecule.bits for g in training.groups]
    nearest = similarities([molecule.bits for molecule, _ in placed], known_bits).max(1)
    found = []
    for (molecule, positions), likeness in zip(placed, nearest, strict=True):
        group = known.get(molecule.key)
        if group is None:
            found.append(Novelty(molecule.name, False, 1.0 - float(likeness), None))
            continue
        if molecule.periodic:
            found.append(Novelty(molecule.name, True, 0.0, None))
            continue
        squared = np.square(group.shapes - shape(molecule, positions)).mean(1)
        distance = float(np.sqrt(squared.min())) if group.shapes.shape[1] else 0.0
        found.append(Novelty(molecule.name, True, 0.0, distance))
    return found
