"""What a data set holds: molecules, conformers of each, duplicates, and labels that look wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from pyubias.diversity.geometry import shape, torsion_angles
from pyubias.diversity.molecules import Molecule, in_order

__all__ = ["Census", "Group", "take_census"]

Array = NDArray[np.float64]
SAME = 1e-3  # Å, root mean square difference of distances below which geometries are one
SAME_ENERGY = 1e-3  # eV
LARGE_FORCE = 50.0  # eV/Å
CLOSE = 0.5  # Å, nearer than atoms ever are
NET_FORCE = 0.05  # eV/Å, of a molecule alone in space


@dataclass
class Group:
    """The structures of one molecule.

    Attributes:
        molecule: which.
        indices: into the data set.
        shapes: (conformers, pairs) Å, see `geometry.shape`.
        angles: (conformers, torsions), degrees.
        energies: (conformers,), eV; nan where there is none.
    """

    molecule: Molecule
    indices: list[int]
    shapes: Array
    angles: Array
    energies: Array

    @property
    def energy_range(self) -> float:
        """eV, over the conformers that have an energy."""
        known = self.energies[np.isfinite(self.energies)]
        return float(np.ptp(known)) if len(known) else float("nan")

    @property
    def energy_spread(self) -> float:
        """Standard deviation, eV."""
        known = self.energies[np.isfinite(self.energies)]
        return float(np.std(known)) if len(known) else float("nan")


@dataclass
class Census:
    """Molecules of one data set.

    Attributes:
        groups: one for each molecule, in the order in which they occur.
        duplicates: pairs (index, earlier index) of structures with one geometry.
        problems: (index, what is wrong with it or with its labels).
    """

    groups: list[Group]
    duplicates: list[tuple[int, int]] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)

    @property
    def n_structures(self) -> int:
        return sum(len(g.indices) for g in self.groups)


def take_census(frames: Sequence[Atoms]) -> Census:
    """Group structures by molecule and look through their labels.

    Args:
        frames: with labels as in `datasets`; labels may be absent.
    """
    members: dict[str, list[tuple[int, Array]]] = {}
    molecules: dict[str, Molecule] = {}
    for k, atoms in enumerate(frames):
        molecule, positions = in_order(atoms)
        molecules[molecule.key] = molecule
        members.setdefault(molecule.key, []).append((k, positions))
    groups = [_group(molecules[key], found, frames) for key, found in members.items()]
    census = Census(groups)
    for group in groups:
        pairs = _duplicates(group)
        census.duplicates += [(group.indices[k], group.indices[j]) for k, j in pairs]
        census.problems += _contradictions(group, pairs)
        if "." in group.molecule.key:
            census.problems += [(k, "falls into more than one molecule") for k in group.indices]
    for k, atoms in enumerate(frames):
        reasons = [*_geometry_problems(atoms), *_label_problems(atoms)]
        census.problems += [(k, reason) for reason in reasons]
    census.problems.sort()
    return census


def _group(
    molecule: Molecule, found: Sequence[tuple[int, Array]], frames: Sequence[Atoms]
) -> Group:
    return Group(
        molecule=molecule,
        indices=[k for k, _ in found],
        shapes=np.array([shape(molecule, positions) for _, positions in found]),
        angles=np.array([torsion_angles(molecule, positions) for _, positions in found]),
        energies=np.array([frames[k].info.get("REF_energy", np.nan) for k, _ in found]),
    )


def _duplicates(group: Group) -> list[tuple[int, int]]:
    """(conformer, earlier conformer) of the same geometry, up to reflection."""
    if group.molecule.periodic:
        return []
    columns = max(1, group.shapes.shape[1])
    found = []
    for k in range(1, len(group.shapes)):
        difference = np.square(group.shapes[:k] - group.shapes[k]).sum(1) / columns
        nearest = int(difference.argmin())
        if difference[nearest] < SAME**2:
            found.append((k, nearest))
    return found


def _contradictions(group: Group, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, str]]:
    found = []
    for k, j in pairs:
        difference = abs(group.energies[k] - group.energies[j])
        if difference > SAME_ENERGY:
            reason = f"energy differs by {difference:.3g} eV from structure {group.indices[j] + 1}"
            found.append((group.indices[k], f"{reason}, which has the same geometry"))
    return found


def _geometry_problems(atoms: Atoms) -> list[str]:
    i, j, distance = neighbor_list("ijd", atoms, CLOSE)
    if len(distance) == 0:
        return []
    k = int(distance.argmin())
    return [f"atoms {i[k] + 1} and {j[k] + 1} are {distance[k]:.2f} Å apart"]


def _label_problems(atoms: Atoms) -> list[str]:
    energy, forces = atoms.info.get("REF_energy"), atoms.arrays.get("REF_forces")
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
    if largest > LARGE_FORCE:
        found.append(f"|F| = {largest:.3g} eV/Å")
    net = float(np.linalg.norm(forces.sum(0)))
    if net > NET_FORCE and not atoms.pbc.any():
        found.append(f"net force {net:.3g} eV/Å")
    return found
