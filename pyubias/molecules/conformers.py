"""Geometries of a molecule from its SMILES: basins, normal modes, torsion drives, dynamics.

The geometries come from RDKit's force field (MMFF94, or UFF for a molecule that MMFF94 lacks
parameters for). Their labels come from another reference.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from pyubias.molecules.chemistry import chemistry
from pyubias.molecules.force_field import ConformerError, ForceField

__all__ = ["SOURCES", "Conformers", "embed"]

Array = NDArray[np.float64]

MAX_ENERGY_INCREASE = 1.0  # eV, by which driven torsions may raise the energy

MIN_STIFFNESS = 0.5  # eV/Å², stiffness of all softer modes, which would be displaced too far

MD_STEPS = 200  # steps of 0.5 fs between two frames

MAX_ATTEMPTS = 20  # draws of torsion angles without a clash


def embed(smiles: str, n: int, seed: int = 0) -> list[Atoms]:
    """Up to n relaxed geometries of a molecule.

    Raises:
        ConformerError: RDKit cannot embed it.
    """
    return Conformers(smiles, seed, starts=max(12, 2 * n)).basins(n)


class Conformers:
    """Makes geometries of one molecule; the same seed makes the same geometries.

    Args:
        smiles: SMILES of the molecule.
        seed: seed of all random numbers.
        starts: number of geometries that are embedded and relaxed, from which all others are made.

    Raises:
        ConformerError: RDKit cannot embed the molecule, or has no force field for it.
    """

    def __init__(self, smiles: str, seed: int = 0, starts: int = 12) -> None:
        chem = chemistry()
        from rdkit.Chem import rdDistGeom

        parsed = chem.MolFromSmiles(smiles)
        if parsed is None:
            raise ConformerError(f"'{smiles}' is not a SMILES that RDKit understands")
        self.molecule = chem.AddHs(parsed)
        self.smiles = smiles
        self.random = np.random.default_rng([seed, 17])
        parameters: Any = rdDistGeom.ETKDGv3()
        parameters.randomSeed = seed % 2**31
        parameters.pruneRmsThresh = 0.1
        found = list(rdDistGeom.EmbedMultipleConfs(self.molecule, starts, parameters))
        if not found:
            raise ConformerError(f"RDKit cannot embed '{smiles}'")
        self.force_field = ForceField(self.molecule, found[0])
        self.starts = [self._relaxed(self._positions(k)) for k in found]
        self.bonded = chem.GetAdjacencyMatrix(self.molecule).astype(bool)
        self.torsions = self._rotatable()
        self.given = 0

    def basins(self, n: int) -> list[Atoms]:
        """Up to n relaxed geometries, lowest energy first; a later call goes on with the next."""
        energies = [self.force_field.energy(x) for x in self.starts]
        kept: list[int] = []
        for k in np.argsort(energies, kind="stable"):
            # equal energies are those of one basin, or of its mirror image
            if all(abs(energies[k] - energies[j]) > 1e-4 for j in kept):
                kept.append(int(k))
        first, self.given = self.given, self.given + n
        return [self._atoms(self.starts[k]) for k in kept[first : first + n]]

    def normal_modes(self, n: int, temperature: float) -> list[Atoms]:
        """Classical harmonic displacements from basins at a temperature in K."""
        frames = []
        for k in range(n):
            start = self.starts[k % len(self.starts)]
            inner = _inner_directions(start)
            stiffness, modes = np.linalg.eigh(inner.T @ self.force_field.hessian(start) @ inner)
            stiffness = np.maximum(stiffness, MIN_STIFFNESS)
            amplitudes = self.random.normal(size=len(stiffness)) * np.sqrt(
                units.kB * temperature / stiffness
            )
            frames.append(self._atoms(start + (inner @ modes @ amplitudes).reshape(-1, 3)))
        return frames

    def torsion_drives(self, n: int, temperature: float) -> list[Atoms]:
        """Geometries of `normal_modes` with every rotatable bond turned by a random angle.

        Angles are drawn again if atoms clash; after `MAX_ATTEMPTS` draws the bonds are not turned.
        """
        return [self._driven(atoms) for atoms in self.normal_modes(n, temperature)]

    def _driven(self, atoms: Atoms) -> Atoms:
        highest = self.force_field.energy(atoms.positions) + MAX_ENERGY_INCREASE
        for _ in range(MAX_ATTEMPTS if self.torsions else 0):
            turned = atoms.positions
            for torsion in self.torsions:
                turned = self._turned(turned, torsion, self.random.uniform(0.0, 360.0))
            if self.force_field.energy(turned) < highest:
                return self._atoms(turned)
        return atoms

    def dynamics(self, n: int, temperature: float) -> list[Atoms]:
        """Langevin dynamics from the basins at a temperature in K, a frame every 100 fs."""
        frames: list[Atoms] = []
        walkers = min(n, len(self.starts), 4)
        for w in range(walkers):
            atoms = self._atoms(self.starts[w])
            atoms.calc = self.force_field.calculator()
            # Langevin's own fixcm does not sample the canonical ensemble
            atoms.set_constraint(FixCom())
            deviations = np.sqrt(units.kB * temperature * atoms.get_masses())[:, None]
            atoms.set_momenta(self.random.normal(size=(len(atoms), 3)) * deviations)
            dynamics = Langevin(
                atoms,
                0.5 * units.fs,
                temperature_K=temperature,
                friction=0.02 / units.fs,
                fixcm=False,
                rng=self.random,
            )
            for _ in range(-(-(n - w) // walkers)):
                dynamics.run(MD_STEPS)
                frames.append(self._atoms(atoms.positions))
        return frames[:n]

    def torsion_scan(self, n: int) -> list[Atoms]:
        """The first rotatable bond turned in n equal steps, with all else relaxed.

        The scan starts half a step from a basin, because the basin may be in another set. It is
        empty for a molecule without rotatable bonds.
        """
        if not self.torsions:
            return []
        frames = []
        for k in range(n):
            turned = self._turned(self.starts[0], self.torsions[0], 360.0 * (k + 0.5) / n)
            frames.append(self._atoms(self._relaxed(turned, self.torsions[0])))
        return frames

    def _atoms(self, positions: Array) -> Atoms:
        numbers = [atom.GetAtomicNum() for atom in self.molecule.GetAtoms()]
        return Atoms(numbers, positions=positions)

    def _positions(self, conformer: int) -> Array:
        return np.array(self.molecule.GetConformer(conformer).GetPositions())

    def _rotatable(self) -> list[tuple[int, int, int, int]]:
        """Four heavy atoms around each rotatable bond."""
        chem = chemistry()
        pattern = chem.MolFromSmarts("[!#1]~[!$([!#1]#*)&!D1]-&!@[!$([!#1]#*)&!D1]~[!#1]")
        found: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        heavy = chem.RemoveHs(self.molecule)
        for match in heavy.GetSubstructMatches(pattern, maxMatches=10000):
            found.setdefault((min(match[1:3]), max(match[1:3])), match)
        return list(found.values())

    def _turned(self, positions: Array, torsion: tuple[int, int, int, int], angle: float) -> Array:
        """Positions with one side of a bond turned about it by an angle in degrees."""
        atoms = self._atoms(positions)
        atoms.rotate_dihedral(*torsion, angle, mask=self._side(torsion[1], torsion[2]))
        return atoms.positions

    def _side(self, here: int, there: int) -> list[bool]:
        """Mask of the atoms on the far side of a bond, which is not in a ring."""
        cut = self.bonded.copy()
        cut[here, there] = cut[there, here] = False
        _, sides = connected_components(cut, directed=False)
        return [bool(side == sides[there]) for side in sides]

    def _relaxed(self, start: Array, torsion: tuple[int, int, int, int] | None = None) -> Array:
        return self.force_field.minimum(start, torsion)


def _inner_directions(positions: Array) -> Array:
    """An orthonormal basis (3n, m) of all displacements except translations and rotations.

    m is 3n - 6, or 3n - 5 for a linear molecule.
    """
    centred = positions - positions.mean(0)
    axes = np.eye(3)
    rigid = [np.tile(axis, len(positions)) for axis in axes]
    rigid += [np.cross(axis, centred).ravel() for axis in axes]
    directions, sizes, _ = np.linalg.svd(np.array(rigid).T, full_matrices=True)
    rank = int((sizes > 1e-3 * sizes[0]).sum())
    return directions[:, rank:]


SOURCES: dict[str, Callable[[Conformers, int, float], list[Atoms]]] = {
    "basins": lambda conformers, n, temperature: conformers.basins(n),
    "normal_modes": Conformers.normal_modes,
    "torsions": Conformers.torsion_drives,
    "dynamics": Conformers.dynamics,
}
