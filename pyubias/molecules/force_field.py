"""RDKit's force fields: MMFF94, or UFF for a molecule that MMFF94 lacks parameters for."""

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
    """RDKit cannot make a geometry of a molecule; the message is the reason."""


class ForceField:
    """MMFF94 or UFF of one molecule, in eV and Å.

    Args:
        molecule: RDKit molecule with hydrogen atoms.
        conformer: number of the conformer of `molecule` that minimization may overwrite.

    Raises:
        ConformerError: neither force field has parameters for the molecule.
    """

    def __init__(self, molecule: Any, conformer: int) -> None:
        # some versions know the classes that helpers return only after this import
        import rdkit.ForceField  # noqa: F401
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
        """Energy in eV at positions (n, 3) in Å."""
        return KCAL * float(self.field.CalcEnergy(positions.ravel().tolist()))

    def gradient(self, positions: Array) -> Array:
        """Gradient (n, 3) of the energy in eV/Å."""
        flat = positions.ravel().tolist()
        # CalcGrad uses the distances that the last CalcEnergy computed
        self.field.CalcEnergy(flat)
        return KCAL * np.array(self.field.CalcGrad(flat)).reshape(-1, 3)

    def hessian(self, positions: Array, step: float = 0.005) -> Array:
        """Second derivatives (3n, 3n) in eV/Å², by central differences with a step in Å."""
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
        """Positions (n, 3) of the minimum next to `start`, with the given torsion held fixed."""
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
        """An ASE calculator of this force field."""
        return ForceFieldCalculator(self)


class ForceFieldCalculator(Calculator):
    """A `ForceField` as an ASE calculator, for dynamics."""

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
        energy, gradient = self.force_field.energy(positions), self.force_field.gradient(positions)
        self.results = {"energy": energy, "forces": -gradient}
