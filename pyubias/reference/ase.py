"""References that are ASE calculators."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError

from pyubias.import_path import load_object
from pyubias.reference.label import LabelError, ReferenceMethodError
from pyubias.training.labels import Label

if TYPE_CHECKING:
    from pyubias.config.schema import AseReference

__all__ = ["AseMethod"]


def _find_calculator(config: "AseReference") -> Callable[..., Any]:
    """The class or function that the settings name, from an installed package or from a file.

    Raises:
        ReferenceMethodError: there is none, or it can be seen that it makes no calculator. It is
            not called then, because it could do anything else.
    """
    if config.file is None and config.calculator.split(".")[0] in sys.stdlib_module_names:
        raise ReferenceMethodError(
            f"reference calculator '{config.calculator}' is of Python's standard library, which "
            "has no calculator of ASE"
        )
    found = _import(config)
    if not callable(found) or (isinstance(found, type) and not _is_calculator(found)):
        raise ReferenceMethodError(
            f"reference calculator '{config.calculator}' is {_described(found)}, wanted a class "
            "of calculators of ASE, or a function that gives a calculator"
        )
    return cast(Callable[..., Any], found)


def _is_calculator(kind: type) -> bool:
    return issubclass(kind, BaseCalculator) or hasattr(kind, "get_property")


def _described(found: object) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"


def _import(config: "AseReference") -> object:
    try:
        return load_object(config.calculator, config.file)
    except Exception as error:  # a file of one's own may hold any mistake
        where = "" if config.file is None else f" of '{config.file}'"
        raise ReferenceMethodError(
            f"reference calculator '{config.calculator}'{where} cannot be imported: {error}"
        ) from error


class AseMethod:
    """`kind: ase`: labels with a calculator that is made once, and again after a failure.

    Args:
        config: of the reference.
        place: rank and number of ranks of the caller.
    """

    def __init__(self, config: "AseReference", place: tuple[int, int]) -> None:
        self.max_force = config.max_force
        self.config = config
        self.place = place
        self.calculator: Any = self._make()

    def _make(self) -> Any:
        factory = _find_calculator(self.config)
        try:
            calculator = factory(**self.config.arguments)
        except Exception as error:
            raise ReferenceMethodError(
                f"reference calculator '{self.config.calculator}' refused its arguments "
                f"{self.config.arguments}: {error}"
            ) from error
        if not _is_calculator(type(calculator)):
            raise ReferenceMethodError(
                f"reference calculator '{self.config.calculator}' gives "
                f"{type(calculator).__name__}, wanted a calculator of ASE"
            )
        _separate_folder(calculator, *self.place)
        return calculator

    def __call__(self, atoms: Atoms) -> Label:
        # a calculator may be unusable after a failure: a new one labels the next frame
        calculator, self.calculator = self.calculator or self._make(), None
        atoms = atoms.copy()
        atoms.calc = calculator
        written = _cp2k_output(calculator)
        energy = atoms.get_potential_energy()
        # constraints would set forces and stresses of fixed atoms and cells to zero
        forces = atoms.get_forces(apply_constraint=False)
        stress = _stress(atoms) if atoms.pbc.all() else None
        if getattr(calculator, "converged", None) is False or _cp2k_gave_up(calculator, written):
            raise LabelError("not converged")
        self.calculator = calculator
        # forces are derivatives of the free energy, where smeared electrons make the two differ
        free_energy = getattr(calculator, "results", {}).get("free_energy")
        is_number = isinstance(energy, int | float | np.number)
        if free_energy is not None and is_number and np.isfinite(energy):
            energy = free_energy
        return Label(energy, forces, stress)


def _stress(atoms: Atoms) -> Any:
    try:
        return atoms.get_stress(apply_constraint=False)
    except (NotImplementedError, PropertyNotImplementedError):
        return None


def _cp2k_output(calculator: Any) -> bytes:
    """What ASE's calculator of CP2K has written so far; empty for other calculators."""
    if type(calculator).__name__ != "CP2K" or not calculator.label:
        return b""
    path = Path(f"{calculator.label}.out")
    return path.read_bytes() if path.is_file() else b""


def _cp2k_gave_up(calculator: Any, before: bytes) -> bool:
    """Whether CP2K, whose older versions go on without convergence, says so since `before`."""
    after = _cp2k_output(calculator)
    new = after[len(before) :] if after.startswith(before) else after
    return b"SCF run NOT converged" in new


def _separate_folder(calculator: Any, rank: int, size: int) -> None:
    """Let a calculator that starts programs write its files apart from those of other ranks."""
    starts_programs = hasattr(calculator, "command") or hasattr(calculator, "profile")
    if size > 1 and starts_programs and hasattr(calculator, "directory"):
        calculator.directory = Path(calculator.directory) / f"rank-{rank}"
