"""Geometries of a molecule, from its SMILES: basins, normal modes, torsions, dynamics.

RDKit's force field (MMFF94, or UFF where that lacks parameters) proposes the geometries; what they
are labelled with is another matter.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from numpy.typing import NDArray

from pyubias.molecules.chemistry import chemistry
from pyubias.molecules.force_field import ConformerError, ForceField

__all__ = ["SOURCES", "Conformers", "embed"]

Array = NDArray[np.float64]

HIGHEST_BARRIER = 1.0  # eV, that turning bonds may cost

STIFFEST_SOFT_MODE = 0.5  # eV/Å², modes softer than this move as if they had it

MD_STEPS = 200  # of 0.5 fs between two frames

TRIES = 20


def embed(smiles: str, n: int, seed: int = 0) -> list[Atoms]:
    """Up to n relaxed geometries of a molecule.

    Raises:
        ConformerError: RDKit cannot embed it.
    """
    return Conformers(smiles, seed, starts=max(12, 2 * n)).basins(n)


class Conformers:
    """Makes geometries of one molecule; the same seed makes the same ones.

    Args:
        smiles: of the molecule.
        seed: of everything that is random.
        starts: geometries that are embedded, relaxed, and begun from.

    Raises:
        ConformerError: RDKit cannot embed it, or has no force field for it.
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
        """Relaxed geometries, lowest energy first, each given once; fewer if there are no more."""
        energies = [self.force_field.energy(x) for x in self.starts]
        kept: list[int] = []
        for k in np.argsort(energies, kind="stable"):
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
            softened = np.maximum(stiffness, STIFFEST_SOFT_MODE)
            amplitudes = self.random.normal(size=len(softened)) * np.sqrt(
                units.kB * temperature / softened
            )
            frames.append(self._atoms(start + (inner @ modes @ amplitudes).reshape(-1, 3)))
        return frames

    def torsion_drives(self, n: int, temperature: float) -> list[Atoms]:
        """Displaced as by `normal_modes`, then every rotatable bond at a random angle; tried again
        where atoms clash, and left undriven if that does not help."""
        return [self._driven(atoms) for atoms in self.normal_modes(n, temperature)]

    def _driven(self, atoms: Atoms) -> Atoms:
        highest = self.force_field.energy(atoms.positions) + HIGHEST_BARRIER
        for _ in range(TRIES if self.torsions else 0):
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
            atoms.set_constraint(FixCom())
            spread = np.sqrt(units.kB * temperature * atoms.get_masses())[:, None]
            atoms.set_momenta(self.random.normal(size=(len(atoms), 3)) * spread)
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
        """The first rotatable bond in n equal steps, all else relaxed; empty without one.

        It begins half a step from a basin, which may be in another set.
        """
        if not self.torsions:
            return []
        frames = []
        for k in range(n):
            turned = self._turned(self.starts[0], self.torsions[0], 360.0 * (k + 0.5) / n)
            frames.append(self._atoms(self._relaxed(turned, self.torsions[0])))
        return frames

    # --- geometry ------------------------------------------------------------------------

    def _atoms(self, positions: Array) -> Atoms:
        numbers = [atom.GetAtomicNum() for atom in self.molecule.GetAtoms()]
        return Atoms(numbers, positions=positions)

    def _positions(self, conformer: int) -> Array:
        return np.array(self.molecule.GetConformer(conformer).GetPositions())

    def _rotatable(self) -> list[tuple[int, int, int, int]]:
        chem = chemistry()
        pattern = chem.MolFromSmarts("[!#1]~[!$([!#1]#*)&!D1]-&!@[!$([!#1]#*)&!D1]~[!#1]")
        found: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        heavy = chem.RemoveHs(self.molecule)
        for match in heavy.GetSubstructMatches(pattern, maxMatches=10000):
            found.setdefault((min(match[1:3]), max(match[1:3])), match)
        return list(found.values())

    def _turned(self, positions: Array, torsion: tuple[int, int, int, int], angle: float) -> Array:
        """One side of a bond turned about it by an angle in degrees."""
        atoms = self._atoms(positions)
        atoms.rotate_dihedral(*torsion, angle, mask=self._side(torsion[1], torsion[2]))
        return atoms.positions

    def _side(self, here: int, there: int) -> list[bool]:
        """Atoms that hang on the far end of a bond."""
        reached, open_ends = {here, there}, [there]
        while open_ends:
            for k in map(int, np.flatnonzero(self.bonded[open_ends.pop()])):
                if k not in reached:
                    reached.add(k)
                    open_ends.append(k)
        return [k in reached and k != here for k in range(len(self.bonded))]

    def _relaxed(self, start: Array, torsion: tuple[int, int, int, int] | None = None) -> Array:
        return self.force_field.minimum(start, torsion)


def _inner_directions(positions: Array) -> Array:
    """(3n, m): an orthonormal basis of all displacements but translations and rotations.

    m is 3n - 6, and 3n - 5 of linear molecules.
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
