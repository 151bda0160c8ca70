"""RDKit's force fields: MMFF94, or UFF where that lacks parameters."""

from typing import Any, ClassVar

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from pyubias.errors import UserError

__all__ = ["ConformerError", "ForceField", "ForceFieldCalculator"]

Array = NDArray[np.float64]

KCAL = units.kcal / units.mol


class ConformerError(UserError):
    """No geometry of this molecule could be made; the message is the reason."""


class ForceField:
    """MMFF94 or UFF of one molecule, in eV and Å."""

    def __init__(self, molecule: Any, conformer: int) -> None:
        from rdkit.Chem import rdForceFieldHelpers

        self.molecule = molecule
        self.conformer = conformer
        self.mmff = rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule)
        if not self.mmff and not rdForceFieldHelpers.UFFHasAllMoleculeParams(molecule):
            raise ConformerError("RDKit has no force field for it")
        self.field = self._new()

    def _new(self) -> Any:
        from rdkit.Chem import rdForceFieldHelpers as helpers

        if self.mmff:
            properties = helpers.MMFFGetMoleculeProperties(self.molecule)
            field = helpers.MMFFGetMoleculeForceField(
                self.molecule, properties, confId=self.conformer
            )
        else:
            field = helpers.UFFGetMoleculeForceField(self.molecule, confId=self.conformer)
        field.Initialize()
        return field

    def energy(self, positions: Array) -> float:
        return KCAL * float(self.field.CalcEnergy(positions.ravel().tolist()))

    def gradient(self, positions: Array) -> Array:
        """eV/Å, (n, 3)."""
        flat = positions.ravel().tolist()
        # CalcGrad uses the distances that the last CalcEnergy left
        self.field.CalcEnergy(flat)
        return KCAL * np.array(self.field.CalcGrad(flat)).reshape(-1, 3)

    def hessian(self, positions: Array, step: float = 0.005) -> Array:
        """eV/Å², (3n, 3n), by central differences."""
        n = positions.size
        rows = np.empty((n, n))
        for k in range(n):
            shift = np.zeros(n)
            shift[k] = step
            forward = self.gradient(positions + shift.reshape(-1, 3))
            backward = self.gradient(positions - shift.reshape(-1, 3))
            rows[k] = (forward - backward).ravel() / (2.0 * step)
        return 0.5 * (rows + rows.T)

    def minimum(self, start: Array, torsion: tuple[int, int, int, int] | None = None) -> Array:
        """The nearest minimum, with one torsion held where it is if one is given."""
        conformer = self.molecule.GetConformer(self.conformer)
        for k, position in enumerate(start.tolist()):
            conformer.SetAtomPosition(k, position)
        field = self._new()
        if torsion is not None:
            add = field.MMFFAddTorsionConstraint if self.mmff else field.UFFAddTorsionConstraint
            add(*torsion, True, 0.0, 0.0, 1000.0)
        field.Minimize(maxIts=500)
        return np.array(self.molecule.GetConformer(self.conformer).GetPositions())

    def calculator(self) -> "ForceFieldCalculator":
        return ForceFieldCalculator(self)


class ForceFieldCalculator(Calculator):
    """ASE's view of it, for dynamics."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, force_field: ForceField) -> None:
        super().__init__()
        self.force_field = force_field

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = ("energy",),
        system_changes: Any = tuple(all_changes),
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        positions = self.atoms.positions
        # in this order: the gradient uses what the energy left
        energy = self.force_field.energy(positions)
        self.results = {"energy": energy, "forces": -self.force_field.gradient(positions)}
