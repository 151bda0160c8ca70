"""An ASE calculator that evaluates a model file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from pyubias.model.prediction import Model

__all__ = ["UbiasCalculator"]


class UbiasCalculator(Calculator):
    """ASE calculator that evaluates a model file.

    It computes energy, energies, forces and stress, and two properties that ASE does not define:
    `total_uncertainty` (eV/atom) and `atomic_uncertainty` (n,) (eV/Å). Read them with
    ``atoms.calc.get_property("total_uncertainty", atoms)``.

    Args:
        model: path of a model file, or a loaded `Model`.
        device: ``cpu``, ``cuda`` or ``cuda:N``; a loaded `Model` stays on its device.
        **kwargs: arguments of `ase.calculators.calculator.Calculator`.
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
