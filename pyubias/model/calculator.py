"""An ASE calculator over a model file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from pyubias.model.prediction import Model

__all__ = ["UbiasCalculator"]


class UbiasCalculator(Calculator):
    """ASE calculator over a model file.

    Besides energy, energies, forces and stress it computes `total_uncertainty` (eV/atom) and
    `atomic_uncertainty` (n,) (eV/Å): ``atoms.calc.results["total_uncertainty"]`` or
    ``atoms.calc.get_property("atomic_uncertainty", atoms)``.
    """

    implemented_properties: ClassVar[list[str]] = [
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
        "total_uncertainty",
        "atomic_uncertainty",
    ]

    def __init__(self, model: str | Path | Model, device: str = "cpu", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model if isinstance(model, Model) else Model(model, device)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        (prediction,) = self.model.predict([self.atoms])
        self.results = {
            "energy": prediction.energy,
            "free_energy": prediction.energy,
            "energies": prediction.energies,
            "forces": prediction.forces,
            "total_uncertainty": prediction.total_uncertainty,
            "atomic_uncertainty": prediction.atomic_uncertainty,
        }
        if prediction.stress is not None:
            self.results["stress"] = prediction.stress
