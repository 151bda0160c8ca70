"""The census of a data set: its molecules, their conformers, duplicates, and problems of labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.diversity.measure.duplicates import find_duplicates
from pyubias.diversity.measure.problems import find_problems
from pyubias.molecules.geometry import shape, torsion_angles
from pyubias.molecules.identity import Molecule, StructureError, in_order
from pyubias.training.labels import ENERGY

__all__ = ["Census", "Group", "take_census"]

Array = NDArray[np.float64]

ENERGY_TOLERANCE = 1e-3  # eV, difference of the energies of duplicates, at most


@dataclass
class Group:
    """The structures of one molecule.

    Attributes:
        molecule: the molecule.
        indices: indices of its structures in the data set.
        shapes: (conformers, pairs) Å, see `geometry.shape`; a periodic molecule has no pairs.
        angles: (conformers, rotatable bonds), 0 to 180 degrees; like shapes, they do not depend on
            reflection nor on the order of equivalent atoms.
        energies: (conformers,), eV; nan where the energy is absent.
        repeats: (conformer, earlier conformer) of the same geometry, up to reflection; empty for a
            periodic molecule.
    """

    molecule: Molecule
    indices: list[int]
    shapes: Array
    angles: Array
    energies: Array
    repeats: list[tuple[int, int]]

    @property
    def labelled(self) -> list[int]:
        """Conformers with an energy: one of each geometry, or of each energy if periodic."""
        kinds: list[float] = list(range(len(self.indices)))
        for k, earlier in self.repeats:
            kinds[k] = kinds[earlier]
        if self.molecule.periodic:
            kinds = self.energies.tolist()
        first: dict[float, int] = {}
        for k in np.flatnonzero(np.isfinite(self.energies)).tolist():
            first.setdefault(kinds[k], k)
        return list(first.values())

    @property
    def energy_range(self) -> float:
        """Highest minus lowest energy of the conformers, eV; nan without energies."""
        known = self.energies[np.isfinite(self.energies)]
        return float(np.ptp(known)) if len(known) else float("nan")

    @property
    def energy_deviation(self) -> float:
        """Standard deviation of the energies of distinct geometries, eV; nan for fewer than two."""
        known = self.energies[self.labelled]
        return float(np.std(known)) if len(known) > 1 else float("nan")


@dataclass
class Census:
    """Molecules of one data set.

    Attributes:
        groups: one for each molecule, in the order in which they occur.
        duplicates: pairs (index, earlier index) of structures with one geometry.
        problems: (index, problem of the structure or of its labels).
    """

    groups: list[Group]
    duplicates: list[tuple[int, int]] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)

    @property
    def n_structures(self) -> int:
        """Number of structures in all groups."""
        return sum(len(g.indices) for g in self.groups)

    @property
    def n_periodic(self) -> int:
        """Number of periodic structures, whose geometries are not compared."""
        return sum(len(g.indices) for g in self.groups if g.molecule.periodic)


class _Member(NamedTuple):
    """A structure: its number in the data set, and its positions in the order of the key."""

    number: int
    positions: Array


def take_census(frames: Sequence[Atoms]) -> Census:
    """Group structures by molecule, and check their geometries and labels.

    Args:
        frames: structures, whose labels may be absent. A structure that cannot be identified is in
            no group; the reason is among the problems.
    """
    problems: list[tuple[int, str]] = []
    members: dict[str, list[_Member]] = {}
    molecules: dict[str, Molecule] = {}
    for k, atoms in enumerate(frames):
        try:
            molecule, positions = in_order(atoms)
        except StructureError as error:
            problems.append((k, str(error)))
            continue
        problems += [(k, reason) for reason in find_problems(atoms)]
        molecules[molecule.key] = molecule
        members.setdefault(molecule.key, []).append(_Member(k, positions))
    groups = [_group(molecules[key], found, frames) for key, found in members.items()]
    for group in groups:
        problems += _contradictions(group)
        if "." in group.molecule.key and not group.molecule.periodic:
            problems += [(k, "falls into more than one molecule") for k in group.indices]
    duplicates = [(g.indices[k], g.indices[j]) for g in groups for k, j in g.repeats]
    return Census(groups, duplicates, sorted(problems))


def _group(molecule: Molecule, members: Sequence[_Member], frames: Sequence[Atoms]) -> Group:
    shapes = np.zeros((len(members), 0))
    if not molecule.periodic:
        shapes = np.array([shape(molecule, m.positions) for m in members])
    return Group(
        molecule=molecule,
        indices=[m.number for m in members],
        shapes=shapes,
        angles=_angles(molecule, members),
        energies=np.array([frames[m.number].info.get(ENERGY, np.nan) for m in members]),
        repeats=[] if molecule.periodic else find_duplicates(shapes),
    )


def _angles(molecule: Molecule, members: Sequence[_Member]) -> Array:
    """The angle of each rotatable bond, the smallest one over equivalent end atoms.

    The angles of equivalent bonds are sorted, so that an exchange of equivalent atoms changes none.
    """
    torsions, classes = molecule.torsions, np.array(molecule.classes)
    if not torsions:
        return np.zeros((len(members), 0))
    angles = np.array([torsion_angles(molecule, m.positions) for m in members])
    starts = [k for k, t in enumerate(torsions) if k == 0 or t[1:3] != torsions[k - 1][1:3]]
    smallest = np.minimum.reduceat(np.minimum(angles, 360.0 - angles), starts, axis=1)
    kinds = [tuple(classes[list(torsions[k])]) for k in starts]
    kinds = [min(kind, kind[::-1]) for kind in kinds]
    for kind in set(kinds):
        alike = [k for k, other in enumerate(kinds) if other == kind]
        smallest[:, alike] = np.sort(smallest[:, alike], axis=1)
    return smallest


def _contradictions(group: Group) -> list[tuple[int, str]]:
    found = []
    for k, j in group.repeats:
        difference = abs(group.energies[k] - group.energies[j])
        if difference > ENERGY_TOLERANCE:
            reason = f"energy differs by {difference:.3g} eV from structure {group.indices[j] + 1}"
            found.append((group.indices[k], f"{reason}, which has the same geometry"))
    return found
