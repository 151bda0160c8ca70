"""Novelty of a structure with respect to a training set, structural and conformational."""

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
    """Novelty of one structure with respect to a training set.

    Attributes:
        molecule: name of the molecule.
        seen: whether the training set has the molecule.
        structural: 1 - largest Tanimoto similarity with a molecule of the training set, 0 to 1.
        conformational: Å, root mean square difference of distances from the nearest geometry of
            the same molecule; None for an unseen molecule and for a periodic structure.
    """

    molecule: str
    seen: bool
    structural: float
    conformational: float | None


def novelty(frames: Sequence[Atoms], training: Census) -> list[Novelty]:
    """Novelty of each structure.

    Args:
        frames: structures.
        training: census of the training set.
    """
    known = {g.molecule.key: g for g in training.groups}
    placed = [in_order(atoms) for atoms in frames]
    known_bits = [g.molecule.bits for g in training.groups]
    largest = similarities([molecule.bits for molecule, _ in placed], known_bits).max(1)
    found = []
    for (molecule, positions), similarity in zip(placed, largest, strict=True):
        group = known.get(molecule.key)
        if group is None:
            found.append(Novelty(molecule.name, False, 1.0 - float(similarity), None))
            continue
        if molecule.periodic:  # its geometries are not compared
            found.append(Novelty(molecule.name, True, 0.0, None))
            continue
        squared = np.square(group.shapes - shape(molecule, positions)).mean(1)
        distance = float(np.sqrt(squared.min())) if group.shapes.shape[1] else 0.0
        found.append(Novelty(molecule.name, True, 0.0, distance))
    return found
