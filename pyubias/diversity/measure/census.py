"""What a data set holds: molecules, conformers of each, duplicates, and labels that look wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pyubias.molecules.geometry import shape, torsion_angles
from pyubias.molecules.identity import Molecule, StructureError, in_order
from pyubias.molecules.neighbors import find_neighbors

__all__ = ["Census", "Group", "take_census"]

Array = NDArray[np.float64]

SAME = 1e-3  # Å, root mean square difference of distances below which geometries are one

SAME_ENERGY = 1e-3  # eV

LARGE_FORCE = 50.0  # eV/Å

CLOSE = 0.5  # Å, nearer than atoms ever are

NET_FORCE = 0.05  # eV/Å, of a molecule alone in space

DIRECTIONS = 8  # along which geometries are compared first

SAMPLE = 200  # geometries that those directions are found from

CHUNK = 5_000_000  # distances that are compared at once


@dataclass
class Group:
    """The structures of one molecule.

    Attributes:
        molecule: which.
        indices: into the data set.
        shapes: (conformers, pairs) Å, see `geometry.shape`; no pairs if periodic.
        angles: (conformers, rotatable bonds), 0 to 180 degrees; like shapes, they do not depend on
            reflection nor on the order of like atoms.
        energies: (conformers,), eV; nan where there is none.
        repeats: (conformer, earlier conformer) of the same geometry, up to reflection; none if
            periodic.
    """

    molecule: Molecule
    indices: list[int]
    shapes: Array
    angles: Array
    energies: Array
    repeats: list[tuple[int, int]]

    @property
    def labelled(self) -> list[int]:
        """Conformers that have an energy: one of each geometry, or if periodic of each energy."""
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
        """eV, over the conformers that have an energy."""
        known = self.energies[np.isfinite(self.energies)]
        return float(np.ptp(known)) if len(known) else float("nan")

    @property
    def energy_spread(self) -> float:
        """Standard deviation over geometries, eV; nan for fewer than two."""
        known = self.energies[self.labelled]
        return float(np.std(known)) if len(known) > 1 else float("nan")


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

    @property
    def n_periodic(self) -> int:
        """Structures whose geometries are not compared."""
        return sum(len(g.indices) for g in self.groups if g.molecule.periodic)


def take_census(frames: Sequence[Atoms]) -> Census:
    """Group structures by molecule and look through their labels.

    Args:
        frames: with labels as in `datasets`; labels may be absent. Those of which nothing can be
            said are in no group, and among the problems.
    """
    problems: list[tuple[int, str]] = []
    members: dict[str, list[tuple[int, Array]]] = {}
    molecules: dict[str, Molecule] = {}
    for k, atoms in enumerate(frames):
        try:
            molecule, positions = in_order(atoms)
        except StructureError as error:
            problems.append((k, str(error)))
            continue
        problems += [
            (k, reason) for reason in (*_geometry_problems(atoms), *_label_problems(atoms))
        ]
        molecules[molecule.key] = molecule
        members.setdefault(molecule.key, []).append((k, positions))
    groups = [_group(molecules[key], found, frames) for key, found in members.items()]
    for group in groups:
        problems += _contradictions(group)
        if "." in group.molecule.key and not group.molecule.periodic:
            problems += [(k, "falls into more than one molecule") for k in group.indices]
    duplicates = [(g.indices[k], g.indices[j]) for g in groups for k, j in g.repeats]
    return Census(groups, duplicates, sorted(problems))


def _group(
    molecule: Molecule, found: Sequence[tuple[int, Array]], frames: Sequence[Atoms]
) -> Group:
    positions = [x for _, x in found]
    shapes = np.zeros((len(found), 0))
    if not molecule.periodic:
        shapes = np.array([shape(molecule, x) for x in positions])
    return Group(
        molecule=molecule,
        indices=[k for k, _ in found],
        shapes=shapes,
        angles=_angles(molecule, positions),
        energies=np.array([frames[k].info.get("REF_energy", np.nan) for k, _ in found]),
        repeats=[] if molecule.periodic else _repeats(shapes),
    )


def _angles(molecule: Molecule, positions: Sequence[Array]) -> Array:
    """The smallest angle of each rotatable bond over end atoms that its graph cannot tell apart.

    Bonds that it cannot tell apart have their angles sorted.
    """
    torsions, classes = molecule.torsions, np.array(molecule.classes)
    if not torsions:
        return np.zeros((len(positions), 0))
    angles = np.array([torsion_angles(molecule, x) for x in positions])
    starts = [k for k, t in enumerate(torsions) if k == 0 or t[1:3] != torsions[k - 1][1:3]]
    smallest = np.minimum.reduceat(np.minimum(angles, 360.0 - angles), starts, axis=1)
    kinds = [tuple(classes[list(torsions[k])]) for k in starts]
    kinds = [min(kind, kind[::-1]) for kind in kinds]
    for kind in set(kinds):
        alike = [k for k, other in enumerate(kinds) if other == kind]
        smallest[:, alike] = np.sort(smallest[:, alike], axis=1)
    return smallest


def _repeats(shapes: Array) -> list[tuple[int, int]]:
    """(row, nearest earlier row) of rows whose root mean square difference is below `SAME`.

    Equal rows are put together first. Of the others, those are compared that are near along the
    directions in which rows differ most, along which they are never farther apart than they are.
    """
    columns = shapes.shape[1]
    if columns == 0:  # single atoms
        return [(k, 0) for k in range(1, len(shapes))]
    _, first, same = np.unique(np.round(shapes, 6), axis=0, return_index=True, return_inverse=True)
    earliest = first[same.ravel()]
    found = {k: int(earliest[k]) for k in range(len(shapes)) if earliest[k] < k}
    rows = np.sort(first)
    sample = shapes[rows[:: -(-len(rows) // SAMPLE)]]
    directions = np.linalg.svd(sample - sample.mean(0), full_matrices=False)[2][:DIRECTIONS]
    tree = cKDTree(shapes[rows] @ directions.T)
    pairs = rows[tree.query_pairs(SAME * np.sqrt(columns), output_type="ndarray")]
    nearest: dict[int, float] = {}
    for chunk in np.split(pairs, range(0, len(pairs), max(1, CHUNK // columns))[1:]):
        difference = np.square(shapes[chunk[:, 1]] - shapes[chunk[:, 0]]).sum(1) / columns
        for (j, k), d in zip(chunk.tolist(), difference.tolist(), strict=True):
            if d < min(SAME**2, nearest.get(k, np.inf)):
                nearest[k], found[k] = d, j
    return sorted(found.items())


def _contradictions(group: Group) -> list[tuple[int, str]]:
    found = []
    for k, j in group.repeats:
        difference = abs(group.energies[k] - group.energies[j])
        if difference > SAME_ENERGY:
            reason = f"energy differs by {difference:.3g} eV from structure {group.indices[j] + 1}"
            found.append((group.indices[k], f"{reason}, which has the same geometry"))
    return found


def _geometry_problems(atoms: Atoms) -> list[str]:
    near = find_neighbors(atoms, CLOSE)
    if len(near.distances) == 0:
        return []
    k = int(near.distances.argmin())
    i, j = near.first[k] + 1, near.second[k] + 1
    return [f"atoms {i} and {j} are {near.distances[k]:.2f} Å apart"]


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
